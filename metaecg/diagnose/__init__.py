"""Diagnosis: a trained model, some labelled examples, and an answer that can be checked.

model = artefact.shipped()
diagnoser = Diagnoser(model).fit([("a.csv", "WPW", signal), ...])
diagnosis = diagnoser(query)
"""

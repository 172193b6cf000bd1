"""Diagnosis: a trained learner, some labelled examples, and an answer that can be checked."""

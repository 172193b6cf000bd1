"""Training: from episodes to better parameters, on one device or many, without losing a step."""

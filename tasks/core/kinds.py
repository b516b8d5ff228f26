"""Kinds of models (`model_type`) with which one row for several texts was proven."""

SHARING = ("llama", "mistral", "qwen2", "qwen3")  # shared_prompt.py, unpadded.py

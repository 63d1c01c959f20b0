"""Tests of the recipe hf-sft; those that need torch ask the recipe's own interpreter."""

"""Tests of the recipe script and of the programs that docs/recipes.md shows."""

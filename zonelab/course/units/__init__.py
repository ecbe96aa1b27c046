"""Each unit's questions and exercises: RECALL (asked in the next unit), QUIZ and EXERCISES."""

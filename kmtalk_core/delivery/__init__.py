"""Results in the forms that others take them in: animated heads, few keys, films."""

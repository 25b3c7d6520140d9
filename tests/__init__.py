"""What the tests share is imported from here; CONTRIBUTING.md says what each folder holds."""

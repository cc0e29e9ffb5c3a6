#!lua
-- Refused while memory is full, as every script is that does not say otherwise.
-- include arguments
-- include job-commit

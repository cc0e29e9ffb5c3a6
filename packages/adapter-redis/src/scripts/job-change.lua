#!lua flags=allow-oom
-- For what is there already: jobs are to go on, and to be removed, when memory is full.
-- include arguments
-- include job-commit

-- Name them; goes on from `prune_bodies`. Grain: one body.
SELECT doomed.digest
FROM doomed

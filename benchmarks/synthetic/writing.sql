-- What is written, and how far it is: a schema that is there until all of it is.
CREATE SCHEMA synthetic;

CREATE TABLE writing (
    drawn_from jsonb NOT NULL,
    is_filled boolean NOT NULL DEFAULT FALSE
);

-- The days before this one are written. Grain: the projects that one session writes.
CREATE TABLE share (
    share integer PRIMARY KEY,
    next_day integer NOT NULL DEFAULT 0
);

INSERT INTO share (share)
SELECT share FROM generate_series(0, %(shares)s - 1) AS share (share);

-- Grain: one step of one share.
CREATE TABLE spent (
    share integer NOT NULL,
    step text NOT NULL,
    seconds double precision NOT NULL,
    PRIMARY KEY (share, step)
);

-- A database for each service that keeps rows; each service brings its own up to date.
CREATE DATABASE gateway;
CREATE DATABASE completions;
CREATE DATABASE mentions;

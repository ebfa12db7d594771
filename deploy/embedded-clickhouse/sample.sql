-- Sample data: one table to read, one to add to, one that only the owner may see.
CREATE DATABASE IF NOT EXISTS sales;
CREATE DATABASE IF NOT EXISTS hr;

CREATE TABLE IF NOT EXISTS sales.orders (id UInt64, region LowCardinality(String), amount Decimal(12, 2), placed DateTime('UTC'))
ENGINE = MergeTree ORDER BY id;
INSERT INTO sales.orders SELECT number, ['north', 'east', 'south', 'west'][number % 4 + 1], number * 1.25, toDateTime('2026-01-01 00:00:00', 'UTC') + number * 3600 FROM numbers(1000);

CREATE TABLE IF NOT EXISTS sales.events (at DateTime('UTC') DEFAULT now(), what String) ENGINE = MergeTree ORDER BY at;

CREATE TABLE IF NOT EXISTS hr.salaries (name String, amount UInt32) ENGINE = MergeTree ORDER BY name;
INSERT INTO hr.salaries VALUES ('Ada', 120000), ('Grace', 130000);

-- What the demo's ClickHouse holds: a small shop, and one table that is nobody's business.
CREATE DATABASE sales;

CREATE TABLE sales.customers (id UInt32, name String, country String) ENGINE = MergeTree ORDER BY id;
INSERT INTO sales.customers VALUES
    (1, 'Nordlicht Cafe', 'Norway'), (2, 'Bottega Verde', 'Italy'), (3, 'Atelier Lune', 'France'),
    (4, 'Kiosk am Eck', 'Germany'), (5, 'Tea & Tide', 'Ireland');

CREATE TABLE sales.orders (id UInt32, customer_id UInt32, placed Date, product String, quantity UInt32, amount Float64)
ENGINE = MergeTree ORDER BY id;
INSERT INTO sales.orders VALUES
    (1, 1, '2026-01-05', 'lamp', 2, 78), (2, 2, '2026-01-06', 'chair', 4, 260), (3, 3, '2026-01-06', 'mug', 12, 96),
    (4, 4, '2026-01-08', 'mug', 6, 48), (5, 5, '2026-01-09', 'table', 1, 340), (6, 1, '2026-01-12', 'chair', 2, 130),
    (7, 2, '2026-01-13', 'lamp', 3, 117), (8, 3, '2026-01-15', 'table', 2, 680), (9, 4, '2026-01-16', 'lamp', 1, 39),
    (10, 5, '2026-01-19', 'mug', 24, 192), (11, 1, '2026-01-20', 'table', 1, 340), (12, 2, '2026-01-22', 'mug', 8, 64),
    (13, 3, '2026-01-23', 'chair', 6, 390), (14, 4, '2026-01-26', 'chair', 2, 130), (15, 5, '2026-01-27', 'lamp', 5, 195),
    (16, 1, '2026-01-29', 'mug', 10, 80), (17, 2, '2026-01-30', 'table', 1, 340), (18, 3, '2026-02-02', 'lamp', 4, 156),
    (19, 4, '2026-02-03', 'mug', 2, 16), (20, 5, '2026-02-05', 'chair', 3, 195);

CREATE TABLE sales.salaries (name String, pay UInt32) ENGINE = MergeTree ORDER BY name;
INSERT INTO sales.salaries VALUES ('Ada', 5200), ('Grace', 5400), ('Linus', 4100);

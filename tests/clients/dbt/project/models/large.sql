{{ config(materialized='table', engine='MergeTree()', order_by='id', query_settings={'max_threads': 2}) }}
with ordered as (select id, toString(region) as region, amount from {{ source('sales', 'orders') }} where amount > 1000)
select * from ordered

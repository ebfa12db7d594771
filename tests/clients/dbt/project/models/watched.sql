{{ config(materialized='materialized_view', order_by='id') }}
select id, amount * 2 as twice from {{ ref('large') }}

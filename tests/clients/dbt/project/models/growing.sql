{{ config(materialized='incremental', order_by='id', unique_key='id', incremental_strategy='delete_insert') }}
select id, amount from {{ source('sales', 'orders') }}
{% if is_incremental() %} where id between 50 and 149 {% else %} where id < 100 {% endif %}

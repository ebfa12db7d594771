{{ config(materialized='incremental', order_by='id', incremental_strategy='append') }}
select id, amount from {{ source('sales', 'orders') }}
{% if is_incremental() %} where id > (select max(id) from {{ this }}) and id < 200 {% else %} where id < 100 {% endif %}

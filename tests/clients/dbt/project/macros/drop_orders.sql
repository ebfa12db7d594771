{% macro drop_orders() %}{% do run_query("drop table sales.orders") %}{% endmacro %}

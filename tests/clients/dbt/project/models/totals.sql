{{ config(materialized='view') }}
select o.region as region, any(r.country) as country, sum(o.amount) as amount, count() as orders
from {{ source('sales', 'orders') }} as o left join {{ ref('regions') }} as r on o.region = r.region
group by o.region

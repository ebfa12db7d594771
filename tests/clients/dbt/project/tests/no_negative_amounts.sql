select region from {{ ref('totals') }} where amount < 0

/**
 * Rows that are checked a chunk at a time, each with the rows of one other table that belong to it,
 * which can be any number.
 */
export interface Reading {
  readonly table: 'users' | 'payments'
  readonly belongings: 'postings' | 'payment_attempts'
  /** Which of the belongings' columns are read. */
  readonly columns: string
  /** The belongings' primary key is the shard, `key`, `cursor` and `rest`; `key` names the row. */
  readonly key: string
  readonly cursor: string
  readonly rest: string
  /** So many belongings are read for each row of a step. */
  readonly perRow: number
  /** What is summed up of the belongings of a row that are more than one step reads. */
  readonly sums: readonly string[]
}

/**
 * How a chunk is read, and how a table is read of which few rows belong to each of the chunk's, by
 * a column that names the row.
 */
export interface ChunkSql {
  readonly text: string
  readonly within: (column: string) => string
}

/**
 * What both statements judge by: no time may be later than `latest`, an id leaves its shard's
 * number modulo `shards`, or `shards_before` where it is below `below`, what has no currency is in
 * that of the `books`, keys of payments from `keyed_from` on are kept apart, and a commission above
 * its rate's is one of the `floors`, as `JPY:40` in minor units; null: any.
 */
export const GIVEN = `
  given as materialized (
    select
      clock.time + interval '1 minute' as latest,
      $3::int as shards, $4::jsonb ->> 'books' as books,
      coalesce(($4::jsonb ->> 'from')::int, $3::int) as shards_before,
      coalesce(($4::jsonb ->> 'below')::bigint, 0) as below,
      ($4::jsonb ->> 'keyed_from')::bigint as keyed_from,
      (
        select array_agg(floor)
        from jsonb_array_elements_text($4::jsonb -> 'floors') floor
      ) as floors
    from clock
  )`

/**
 * Rows `$5` < id ≤ `$6`, at most `$7` of them, and at most `perRow` times as many belongings behind
 * the cursor `$9` of row `$8`. What is judged ends before the row whose belongings may not all be
 * here. If that is the first one it is judged not at all: its sums are carried, up to the last
 * whole step of the cursor, and come back as `$10` with the next step.
 */
export function inRange(reading: Reading): ChunkSql {
  const { table, belongings, columns, key, cursor, rest, perRow } = reading
  const text = `
  listed as materialized (
    select *
    from ${table}
    where shard = $1 and id > $5 and id <= $6
    order by id
    limit $7::int
  ), listed_upto as materialized (
    select case when count(*) < $7::int then $6::bigint else max(id) end as id
    from listed
  ), taken as materialized (
    select ${columns}
    from ${belongings}
    where shard = $1 and (${key}, ${cursor}) > ($8::bigint, $9::bigint)
      and ${key} <= (select id from listed_upto)
    order by ${key}, ${cursor}, ${rest}
    limit $7::int * ${perRow}
  ), last as materialized (
    select ${key}, ${cursor}
    from taken
    order by ${key} desc, ${cursor} desc
    limit (case when (select count(*) from taken) < $7::int * ${perRow} then 0 else 1 end)
  ), part as materialized (
    select
      least(id, coalesce(last.${key} - 1, id)) as upto,
      coalesce(last.${key} - 1 <= $5::bigint, false) as partial,
      coalesce((select max(${cursor}) from taken where ${cursor} < last.${cursor}), last.${cursor})
        as upto_cursor
    from listed_upto
    left join last on true
  ), chunk as materialized (
    select listed.*
    from listed
    cross join part
    where not partial and id <= upto
  ), whole as materialized (
    select taken.*
    from taken
    cross join part
    where case when partial then ${cursor} <= upto_cursor else ${key} <= upto end
  ), large as materialized (
    select null::bigint as ${key}
    where false
  ), ${carried(reading, '$8', '$10')}`
  const within = (column: string) => `${column} > $5 and ${column} <= (select upto from part)`
  return { text, within }
}

/**
 * The rows with the ids `$5`, each with at most `$6` belongings. Those with more are not judged but
 * named, to be walked through. There is nothing behind a list.
 */
export function inList(reading: Reading): ChunkSql {
  const { table, belongings, columns, key, cursor, rest } = reading
  const text = `
  taken as materialized (
    select belonging.*
    from unnest($5::bigint[]) as listed (id)
    cross join lateral (
      select ${columns}
      from ${belongings}
      where shard = $1 and ${key} = listed.id
      order by ${cursor}, ${rest}
      limit $6::int
    ) belonging
  ), large as materialized (
    select ${key}
    from taken
    group by ${key}
    having count(*) >= $6::int
  ), chunk as materialized (
    select *
    from ${table}
    where shard = $1 and id = any ($5::bigint[]) and id not in (select ${key} from large)
  ), whole as materialized (
    select *
    from taken
    where ${key} not in (select ${key} from large)
  ), part as materialized (
    select 9223372036854775807 as upto, false as partial, null::bigint as upto_cursor
  ), ${carried(reading, 'null', 'null')}`
  return {
    text,
    within: (column) =>
      `${column} = any ($5::bigint[]) and ${column} not in (select ${key} from large)`,
  }
}

function carried({ key, sums }: Reading, id: string, values: string): string {
  const named = sums.map((sum, index) => `sums[${index + 1}] as ${sum}`)
  return `carried as materialized (
    select ${id}::bigint as ${key}, ${named.join(', ')}
    from (select ${values}::numeric[] as sums) known
    where sums is not null
  )`
}

/**
 * The findings of `judged`, one row for each violating row, and the end of the chunk: what is too
 * large for a list, what of `summary` is carried to the next step, and where the next chunk begins.
 */
export function verdict({ key, sums }: Reading, summary: string): string {
  return `
  select
    'finding' as kind, subject, id, payment_id as "paymentId", user_id as "userId", rules,
    null as total
  from judged
  where rules <> ''
  union all
  select 'large', '', ${key}, null, null, null, null
  from large
  union all
  select 'carry', '', ${key}, upto_cursor, null, null, concat_ws(',', ${sums.join(', ')})
  from ${summary}
  cross join part
  where partial
  union all
  select 'upto', '', upto, null, null, null, null
  from part`
}

import { CURRENCIES, EXPONENTS, type Exponent } from '../domain/currency.ts'

/**
 * Parts of the statements that change payments and letters: each writes its events itself, of rows
 * that it has just changed, and reads what is wanted in the same moment. Where nothing is wanted,
 * that one row is all that is read: `offset 0` keeps the changed rows behind the question. What is
 * told is found first and numbered then: Citus cannot do both at once.
 */

/** An instant as the API writes it, in SQL. */
const shown = (time: string) =>
  `to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

function codes(exponent: Exponent): string {
  const named = [...CURRENCIES].filter(([, its]) => its === exponent)
  return named.map(([code]) => `'${code}'`).join(', ')
}

const UNITS = { 0: '1', 2: '0.01', 3: '0.001', 4: '0.0001' } as const

/** What one minor unit of a currency is; the wanted row knows that of the books. */
const unitOf = (currency: string) => `case
        ${EXPONENTS.filter((exponent) => exponent !== 2)
          .map(
            (exponent) =>
              `when coalesce(${currency}, wanted.currency) in (${codes(exponent)}) then ` +
              `${UNITS[exponent]}`,
          )
          .join('\n        ')}
        else ${UNITS[2]}
      end`

const amount = (column: string) => `trim_scale(coalesce(${column}, 0) * unit.one)`

/**
 * Octets of description and metadata, as JSON, that leave room for the rest of a body. Longer ones
 * are left out, and the event says so: it is never too long to be written.
 */
const TEXTS_MAX = 5_500

/** How a statement of events begins: what of the rows in `source` is told, where any is wanted. */
const tellOf = (columns: string, source: string) => `
  insert into events (shard, id, payment_id, type, sequence, body, created_at)
  with told as materialized (
    select wanted.shards, ${columns}, body.text, clock.time
    from clock, event_wants wanted
    cross join lateral (
      select *
      from ${source} source
      where wanted.types <> '{}'
      offset 0
    ) changed`

/** The columns of a payment that its events show. */
export const PAYMENT_SHOWN = `id, user_id, type, status, amount, commission, attempts, last_error,
      gateway_ref, created_at, finished_at, refunded, returned, parent_id, fee_returned,
      return_kind, currency, transitions`

/**
 * Write events of changed payments: `source` has the columns of `PAYMENT_SHOWN`, and `kinds` is a
 * list of SQL, each with a type, or null for no event, and its sequence.
 */
export function paymentEvents(source: string, kinds: string): string {
  return `${tellOf('changed.id, kind.type, kind.sequence', source)}
    cross join lateral (values ${kinds}) kind (type, sequence)
    cross join lateral (
      select
        ${unitOf('changed.currency')} as one
    ) unit
    cross join lateral (
      select row_to_json(event)::text as text
      from (
        select kind.type as "type", ${shown('clock.time')} as "timestamp", data.shown as "data"
        from (
          select row_to_json(payment) as shown
          from (
            select
              changed.id as payment_id, changed.user_id, changed.type as "type",
              ${amount('changed.amount')} as amount,
              ${amount('changed.commission')} as commission,
              coalesce(changed.currency, wanted.currency) as currency,
              case
                when kind.type = 'payment.pending' then 'pending'
                when changed.status = 'new' then 'processing'
                else changed.status
              end as status,
              changed.attempts, changed.last_error, changed.gateway_ref,
              ${shown('changed.created_at')} as created_at,
              ${shown('changed.finished_at')} as finished_at,
              ${amount('changed.refunded')} as refunded,
              ${amount('changed.returned')} as returned,
              changed.parent_id,
              trim_scale(changed.fee_returned * unit.one) as fee_returned, changed.return_kind,
              said.reference, case when not said.long then said.description end as description,
              case when not said.long then said.metadata end as metadata,
              coalesce(said.long, false) as cut, kind.sequence
            from (values (true)) one (row)
            left join lateral (
              select
                reference, description, metadata,
                coalesce(octet_length(metadata::text), 0)
                  + coalesce(octet_length(to_json(description)::text), 0) > ${TEXTS_MAX} as long
              from payment_details
              where shard = $1 and payment_id = changed.id
              limit 1
            ) said on true
          ) payment
        ) data
      ) event
    ) body
    where wanted.shard = $1 and kind.type = any (wanted.types)
    order by changed.id, kind.sequence
  )
  select $1::int, nextval('event_ids') * shards + $1::int, id, type, sequence, text, time
  from told`
}

/** The columns of a letter that its events show. */
export const LETTER_SHOWN = `id, payment_id, user_id, payment_type, amount, commission, class,
      error, attempts, state, created_at, closed_at, closed_by, closed_reason, currency`

/** Write events of changed letters: `source` has the columns of `LETTER_SHOWN`. */
export function letterEvents(source: string, type: string): string {
  return `${tellOf('changed.payment_id', source)}
    cross join lateral (
      select
        ${unitOf('changed.currency')} as one
    ) unit
    cross join lateral (
      select row_to_json(event)::text as text
      from (
        select '${type}' as "type", ${shown('clock.time')} as "timestamp", data.shown as "data"
        from (
          select row_to_json(letter) as shown
          from (
            select
              changed.id, changed.payment_id, changed.user_id, changed.payment_type,
              ${amount('changed.amount')} as amount,
              ${amount('changed.commission')} as commission,
              coalesce(changed.currency, wanted.currency) as currency, changed.class, changed.error,
              changed.attempts, changed.state, ${shown('changed.created_at')} as created_at,
              ${shown('changed.closed_at')} as closed_at, changed.closed_by, changed.closed_reason
          ) letter
        ) data
      ) event
    ) body
    where wanted.shard = $1 and '${type}' = any (wanted.types)
  )
  select
    $1::int, nextval('event_ids') * shards + $1::int, payment_id, '${type}', null, text, time
  from told`
}

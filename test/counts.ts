/**
 * What the exact counters have to be, by the tables alone; what no table tells is not among them.
 */
export const COUNTED = `
  select
    (select count(*) from payments
      where refused_for is null and type <> 'return')
      + (select count(*) from operator_acts where act = 'redrive' and after ->> 'payment' = 'new')
      as payments_task_enqueued_total,
    (select count(*) from payments
      where status = 'success' and type <> 'return') as payments_success_total,
    (select count(*) from payments
      where status = 'failed' and refused_for is null) as payments_failed_total,
    (select count(*) from dead_letters) as dlq_written_total,
    (select count(*) from dead_letters
      where class = 'unknown' and error <> 'charged_after_failed') as payments_unknown_total,
    (select count(*) from operator_acts where act = 'resolve' and before ->> 'payment' = 'unknown'
      and after ->> 'payment' = 'success') as payments_resolved_success_total,
    (select count(*) from operator_acts where act = 'resolve' and before ->> 'payment' = 'unknown'
      and after ->> 'payment' = 'failed') as payments_resolved_failed_total`

/**
 * The minutes of which something else was counted than the payments say, each as a text: what was
 * accepted, succeeded and failed, and what succeeded came to. None: the series is right. Of the
 * last hour, because what is older is rolled up.
 */
export const MISCOUNTED_MINUTES = `
  with own as (
    select * from payments where type <> 'return' and refused_for is null
  ), part as (
    select minute, accepted, succeeded, failed, amount from payment_series
    union all
    select begins_at, accepted, succeeded, failed, amount from payment_series_steps
    union all
    select minute, coalesce(accepted, 0), succeeded, failed, coalesce(amount, 0)
    from payment_counts where minute is not null
    union all
    select date_trunc('minute', created_at, 'UTC'), -1, 0, 0, 0 from own
    union all
    select
      date_trunc('minute', finished_at, 'UTC'), 0, -(status = 'success')::int,
      -(status = 'failed')::int, case when status = 'success' then -amount else 0 end
    from own where finished_at is not null
  )
  select concat_ws(' ', minute, sum(accepted), sum(succeeded), sum(failed), sum(amount)) as wrong
  from part
  group by minute
  having (sum(accepted), sum(succeeded), sum(failed), sum(amount)) <> (0, 0, 0, 0)`

/** The counters that are not what the tables say, each with both numbers. */
export function miscounted(
  counted: Readonly<Record<string, number | bigint | string>>,
  shown: Readonly<Record<string, number>>,
): string[] {
  return Object.entries(counted)
    .filter(([name, count]) => shown[name] !== Number(count))
    .map(([name, count]) => `${name} is ${shown[name]} and should be ${count}`)
}

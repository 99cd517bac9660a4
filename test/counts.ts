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

/** The counters that are not what the tables say, each with both numbers. */
export function miscounted(
  counted: Readonly<Record<string, number | bigint | string>>,
  shown: Readonly<Record<string, number>>,
): string[] {
  return Object.entries(counted)
    .filter(([name, count]) => shown[name] !== Number(count))
    .map(([name, count]) => `${name} is ${shown[name]} and should be ${count}`)
}

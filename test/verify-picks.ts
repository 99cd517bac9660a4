/** One kind of damage: what is done to healthy books, and every rule that must then be violated. */
export interface Damage {
  readonly name: string
  readonly sql: readonly string[]
  readonly rules: readonly string[]
}

export const payment = (where: string) => `(select min(id) from payments where ${where})`
export const PAID_IN = payment("type = 'deposit' and status = 'success'")
export const PAID_OUT = payment("type = 'withdraw' and status = 'success'")
export const FAILED_IN = payment("type = 'deposit' and status = 'failed'")
export const FAILED_OUT = payment("type = 'withdraw' and status = 'failed' and refused_for is null")
export const REFUSED = payment('refused_for is not null')
export const NEW_IN = payment("type = 'deposit' and status = 'new'")
export const NEW_OUT = payment("type = 'withdraw' and status = 'new'")
export const UNKNOWN_OUT = payment(
  `type = 'withdraw' and status = 'unknown' and not exists (select from payment_attempts
     where payment_id = payments.id and outcome = 'not_found')`,
)
export const UNKNOWN = payment("status = 'unknown'")

export const drop = (table: string, ...names: readonly string[]) =>
  names.map((name) => `alter table ${table} drop constraint ${table}_${name}`)

/** A posting like another one, with some of its columns changed. */
export const copyPosting = (of: string, kind: string, changes: string) =>
  `insert into postings select (jsonb_populate_record(posting, '${changes}')).*
   from postings posting where payment_id = ${of} and kind = '${kind}'`

export const PAY = 'update payments set'

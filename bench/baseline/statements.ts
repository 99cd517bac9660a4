import pg from 'pg'

/** Prepared statements, as in the service that is measured beside it. */
export const SQL = {
  user: 'select id, balance from users where id = $1',
  lockUser: 'select id, balance from users where id = $1 for update',
  byKey: 'select id, amount from payments where user_id = $1 and idempotency_key = $2',
  insertPayment: `
    insert into payments (user_id, type, amount, commission, status, idempotency_key)
    values ($1, $2, $3, $4, 'new', $5)
    returning id`,
  insertTransaction: `
    insert into transactions (payment_id, user_id, amount, status)
    values ($1, $2, $3, 'processing')`,
  insertTask: `insert into payment_tasks (payment_id, status) values ($1, 'pending')`,
  claim: `
    select id, payment_id as "paymentId", attempts
    from payment_tasks
    where status = 'pending' and next_retry_at <= now()
    order by next_retry_at
    limit 1
    for update skip locked`,
  lockTask: `
    update payment_tasks
    set status = 'processing', locked_at = now(), attempts = attempts + 1
    where id = $1`,
  markProcessing: `
    update payments set status = 'processing', attempts = attempts + 1, updated_at = now()
    where id = $1`,
  payment: `
    select id, user_id as "userId", type, amount, commission, status from payments where id = $1`,
  transaction: 'select id, amount, status from transactions where payment_id = $1',
  moveBalance: 'update users set balance = balance + $2 where id = $1',
  finishPayment: `
    update payments set status = $2, last_error = $3, updated_at = now() where id = $1`,
  finishTransaction: 'update transactions set status = $2 where payment_id = $1',
  finishTask: `update payment_tasks set status = $2, last_error = $3 where id = $1`,
  retryTask: `
    update payment_tasks
    set status = 'pending', next_retry_at = now() + $2 * interval '1 second', last_error = $3
    where id = $1`,
  deadLetter: 'insert into dead_letters (payment_id, error, attempts) values ($1, $2, $3)',
} as const

export type Run = <Row>(name: keyof typeof SQL, values: readonly unknown[]) => Promise<Row[]>

export interface Store {
  transaction<T>(work: (run: Run) => Promise<T>): Promise<T>
  run: Run
}

/** A pool of connections; statements are prepared once on each. */
export function openStore(url: string, max: number): Store {
  const pool = new pg.Pool({ connectionString: url, max })
  const runner = (client: pg.Pool | pg.PoolClient): Run => {
    return async <Row>(name: keyof typeof SQL, values: readonly unknown[]) => {
      const result = await client.query({ name, text: SQL[name], values: [...values] })
      return result.rows as Row[]
    }
  }
  return {
    run: runner(pool),
    async transaction(work) {
      const client = await pool.connect()
      try {
        await client.query('begin')
        const result = await work(runner(client))
        await client.query('commit')
        return result
      } catch (error) {
        await client.query('rollback')
        throw error
      } finally {
        client.release()
      }
    },
  }
}

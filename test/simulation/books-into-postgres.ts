import type { Db } from '../../src/ports.ts'
import type { Tables } from './tables.ts'

/** Rows as the columns of a table are called. */
type Row = Readonly<Record<string, unknown>>

/** What the tables of a history are called in PostgreSQL, and columns that are unlike ours. */
const TABLES = {
  users: ['users', {}],
  payments: ['payments', {}],
  tasks: ['payment_tasks', {}],
  attempts: ['payment_attempts', {}],
  postings: ['postings', { user: 'user_available', held: 'user_held' }],
  letters: ['dead_letters', { type: 'payment_type' }],
  acts: ['operator_acts', {}],
  children: ['payment_children', {}],
  details: ['payment_details', {}],
  references: ['payment_references', {}],
} as const satisfies Partial<Record<keyof Tables, readonly [string, Row]>>

/** Columns that are ids, which differ between histories. */
const IDS = new Set(['id', 'userId', 'paymentId', 'parentId', 'letterId', 'redriveOf'])

/** Columns that no history has. */
const MORE: Readonly<Partial<Record<keyof typeof TABLES, Row>>> = {
  tasks: { purpose: 'charge' },
  acts: { reason: 'seen', request_id: 'r' },
}

/** Write the books of a history into a database; `offset` keeps its ids apart from all others. */
export async function writeBooks(db: Db, tables: Tables, offset: bigint): Promise<void> {
  for (const name of Object.keys(TABLES) as (keyof typeof TABLES)[]) {
    const [table, names] = TABLES[name]
    const rows = [...tables[name].rows.values()].map((row) => {
      return { ...columnsOf(row as unknown as Row, names, offset), ...MORE[name] }
    })
    const text = `
      insert into ${table}
      select *
      from jsonb_populate_recordset(null::${table}, $1::jsonb)`
    const statement = { name: `put_${table}`, sharded: false, text } as const
    await db.global.run(statement, [JSON.stringify(rows)])
  }
}

function columnsOf(row: Row, names: Readonly<Record<string, string>>, offset: bigint): Row {
  const columns = Object.entries(row).map(([field, value]) => {
    const column = names[field] ?? field.replace(/[A-Z]/g, '_$&').toLowerCase()
    return [column, written(field, value, offset)] as const
  })
  return Object.fromEntries(columns)
}

function written(field: string, value: unknown, offset: bigint): unknown {
  // An opening balance is of no payment.
  const id = IDS.has(field) && typeof value === 'bigint' && value !== 0n
  if (typeof value === 'bigint') return Number(id ? value + offset : value)
  if (field.endsWith('At') && typeof value === 'number') return new Date(value).toISOString()
  // A return that takes another one back names the refund that it was.
  const refund = /^refund (\d+)$/.exec(typeof value === 'string' ? value : '')
  if (refund !== null) return `refund ${BigInt(refund[1] ?? 0) + offset}`
  if (field !== 'gatewayKey') return value
  const number = BigInt(String(value).replaceAll(/\D/g, '')) + offset
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
}

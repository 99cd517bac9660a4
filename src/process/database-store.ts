import type { Global, Unsharded } from '../ports.ts'

/** Write a fact once; whoever comes second reads the first one's value. */
const AGREE: Unsharded<{ value: string }> = {
  name: 'settings_agree',
  sharded: false,
  text: `
  with written as (
    insert into settings (name, value)
    values ($1, $2)
    on conflict (name) do nothing
    returning value
  )
  select value from written
  union all
  select value from settings where name = $1
  limit 1`,
}

/** A fact that was agreed on, if it ever was. */
const READ: Unsharded<{ value: string }> = {
  name: 'settings_read',
  sharded: false,
  text: `
  select value
  from settings
  where name = $1`,
}

/** Settings without which an acknowledged payment can be lost in a crash. */
const DURABILITY: Unsharded<{ name: string; value: string }> = {
  name: 'durability_read',
  sharded: false,
  text: `
  select name, setting as value
  from pg_settings
  where name in ('fsync', 'full_page_writes', 'synchronous_commit')`,
}

/**
 * What is wrong with the durability of this database: a sentence for each setting that would lose
 * acknowledged payments in a crash of its machine. Empty: nothing.
 */
export async function durabilityProblems(db: Global): Promise<string[]> {
  const settings = await db.run(DURABILITY, [])
  return settings
    .filter(({ value }) => value === 'off')
    .map(({ name, value }) => `the database has ${name} = ${value}: a crash loses payments`)
}

/**
 * Agree with every other process on a fact of this database, for good. Returns the value in force,
 * which is not `value` when the fact was written before.
 */
export async function agree(db: Global, name: string, value: string): Promise<string> {
  // Two first writers at once: the one that waited sees nothing in its snapshot, so it asks again.
  const [row] = await db.run(AGREE, [name, value])
  if (row !== undefined) return row.value
  const [again] = await db.run(AGREE, [name, value])
  return again?.value ?? value
}

/** A fact that all processes agree on, or null when none has written it yet. Changes nothing. */
export async function agreed(db: Global, name: string): Promise<string | null> {
  const [row] = await db.run(READ, [name])
  return row?.value ?? null
}

import { eachInTurn, whole } from '../each-shard.ts'
import type { StoredPlace } from '../domain/server-map.ts'
import type { Db, Global, Shard, Unsharded } from '../ports.ts'

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

/** Write a fact that may change. */
const PUT: Unsharded<never> = {
  name: 'settings_put',
  sharded: false,
  text: `
  insert into settings (name, value)
  values ($1, $2)
  on conflict (name) do update
  set value = excluded.value`,
}

/** What a database knows of its place among several servers. */
const PLACE: Unsharded<{ name: string; value: string }> = {
  name: 'settings_place',
  sharded: false,
  text: `
  select name, value
  from settings
  where name in ('cluster', 'cluster_range', 'cluster_map', 'cluster_version')`,
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

/** A session of each server that holds shards. */
export function sessionsOf({ servers, shards }: Pick<Db, 'servers' | 'shards'>): Shard[] {
  return servers.flatMap(({ first }) => shards[first] ?? [])
}

/** What the home side and each server that holds shards know of their places, in order. */
export async function readPlaces(
  db: Pick<Db, 'global' | 'servers' | 'shards'>,
): Promise<{ readonly home: StoredPlace; readonly places: readonly StoredPlace[] }> {
  const home = await readPlace(db.global)
  return { home, places: whole(await eachInTurn(sessionsOf(db), readPlace)) }
}

/** What one server knows of its place. */
export async function readPlace(session: Global): Promise<StoredPlace> {
  const rows = await session.run(PLACE, [])
  const known = (name: string) => rows.find((row) => row.name === name)?.value ?? null
  return {
    cluster: known('cluster'),
    range: known('cluster_range'),
    map: known('cluster_map'),
    version: known('cluster_version'),
  }
}

/** Write what a server is to know of its place: what is null is left as it is. */
export async function writePlace(session: Global, place: StoredPlace): Promise<void> {
  const facts = [
    ['cluster', place.cluster],
    ['cluster_range', place.range],
    ['cluster_map', place.map],
    ['cluster_version', place.version],
  ] as const
  for (const [name, value] of facts) if (value !== null) await session.run(PUT, [name, value])
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

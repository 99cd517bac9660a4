import { openSnapshot, type Snapshot } from '../adapters/backup.ts'
import { beginBackup, FORM, type BackupPart, type Manifest } from '../adapters/backup-files.ts'
import { systemClock } from '../adapters/clock.ts'
import type { AsJson } from '../adapters/command-options.ts'
import { print } from '../adapters/commands.ts'
import { progress, countText } from '../adapters/terminal.ts'
import { loadConfig, readEnvironment, type Config } from '../config/config.ts'
import { writeJson } from '../domain/exact-json.ts'
import { checkServers, refuseCitus } from './check-servers.ts'
import { closing, type Closing } from './closing.ts'
import { openDatabase, partsOf } from './database.ts'
import { connect } from './shared.ts'
import { VERSION } from './version.ts'

/** The options of `payments backup`. */
export interface BackupOptions extends AsJson {
  readonly to: string
}

/**
 * `payments backup`: write everything that the database holds into a new folder, beside live
 * traffic. Each server is of one moment. Cut short, it leaves a folder whose name says so.
 */
export async function runBackup(options: BackupOptions): Promise<void> {
  const config = loadConfig(readEnvironment(process.cwd()))
  refuseCitus(config)
  const stops = closing()
  const startedMs = systemClock.elapsedMs()
  try {
    const draft = await beginBackup(options.to)
    let published = false
    stops.push(() => (published ? undefined : draft.drop()))
    const snapshots = await openSnapshots(config, stops)
    const parts: BackupPart[] = []
    for (const { name, snapshot } of snapshots) {
      const about = snapshot.tables.reduce((sum, table) => sum + table.about, 0)
      const bar = progress(`Backing up ${name}`, about)
      parts.push(await snapshot.copy(name, draft, () => bar.tick(1)))
      bar.done()
    }
    const manifest = manifestOf(draft.id, snapshots, parts)
    await draft.publish(manifest)
    published = true
    report(options, manifest, Math.round(systemClock.elapsedMs() - startedMs))
  } finally {
    await stops.close()
  }
}

interface NamedSnapshot {
  readonly name: string
  readonly snapshot: Snapshot
}

/** Hold a moment of every server, all as nearly at once as they can be. The home side is first. */
async function openSnapshots(config: Config, stops: Closing): Promise<readonly NamedSnapshot[]> {
  const say = (line: string) => void process.stderr.write(`${line}\n`)
  const home = await openDatabase(config, { stops, say, schema: 'demand', embedded: 'found' })
  const db = connect(config, home, 'payments backup')
  try {
    await checkServers(db, config)
  } finally {
    await db.close()
  }
  return await Promise.all(
    partsOf(config, home).map(async ({ name, url }) => {
      const snapshot = await openSnapshot(url)
      stops.push(() => snapshot.close())
      return { name, snapshot }
    }),
  )
}

function manifestOf(
  id: string,
  [first]: readonly NamedSnapshot[],
  parts: readonly BackupPart[],
): Manifest {
  // The home side knows what is agreed on.
  const fact = (name: string) => first?.snapshot.facts.get(name) ?? null
  return {
    form: FORM,
    id,
    version: VERSION,
    cluster: fact('cluster'),
    map: fact('cluster_map'),
    shards: fact('shards'),
    currency: fact('currency'),
    migrations: first?.snapshot.migrations ?? [],
    parts,
  }
}

function report({ to, json }: BackupOptions, { id, parts }: Manifest, tookMs: number): void {
  const shown = parts.map(({ name, moment, tables }) => ({
    name,
    moment,
    rows: tables.reduce((sum, table) => sum + table.rows, 0),
    bytes: tables.reduce((sum, table) => sum + table.bytes, 0),
  }))
  if (json === true) return print(writeJson({ id, to, parts: shown, took_ms: tookMs }))
  for (const { name, moment, rows, bytes } of shown) {
    const size = `${(bytes / 1_048_576).toFixed(1)} MB`
    print(`${name}: ${countText(rows)} rows, ${size}, as of ${moment}`)
  }
  print(`The backup is in ${to}. Keep it as safe as the database: it holds the same.`)
  if (parts.length === 1) return
  const times = parts.map(({ moment }) => new Date(moment).getTime())
  print(
    `Its ${parts.length} servers were read at moments of their own, ` +
      `${Math.max(...times) - Math.min(...times)} ms apart by their clocks. A payment is in one ` +
      'server, so none is cut in two; what the home side counts may differ by as much.',
  )
}

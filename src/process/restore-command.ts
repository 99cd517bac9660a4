import { checkFile, readBackup, type Backup, type BackupPart } from '../adapters/backup-files.ts'
import type { AsJson } from '../adapters/command-options.ts'
import { operatorHere, print } from '../adapters/commands.ts'
import { demandKnown, restorePart } from '../adapters/restore.ts'
import { progress, countText } from '../adapters/terminal.ts'
import { loadConfig, readEnvironment, type Config } from '../config/config.ts'
import { ConfigError } from '../config/config-error.ts'
import { mapText } from '../domain/server-map.ts'
import { writeJson } from '../domain/exact-json.ts'
import { refuseCitus } from './check-servers.ts'
import { closing } from './closing.ts'
import { openDatabase, partsOf, placeOf } from './database.ts'
import { wrongCurrency, wrongShards } from './shared.ts'

/** The options of `payments restore`. */
export interface RestoreOptions extends AsJson {
  readonly from: string
  readonly check?: boolean
}

/**
 * `payments restore`: bring a backup into an empty database, or of several servers into theirs,
 * each in one transaction. Cut short, it is run again: servers that are done are left as they are,
 * and the home side comes last. No process uses the database until it was recovered.
 */
export async function runRestore(options: RestoreOptions): Promise<void> {
  const config = loadConfig(readEnvironment(process.cwd()))
  refuseCitus(config)
  const backup = await readBackup(options.from)
  const problems = problemsOf(config, backup)
  if (problems.length > 0) throw new ConfigError(problems)
  await demandKnown(null, backup)
  await checkFiles(backup)
  if (options.check === true) return report(options, backup)
  const stops = closing()
  try {
    const say = (line: string) => void process.stderr.write(`${line}\n`)
    const home = await openDatabase(config, { stops, say, schema: 'any', embedded: 'made' })
    const parts = partsOf(config, home)
    demandParts(parts, backup)
    for (const { name, url } of parts.toReversed()) {
      // Its parts are those of the settings: that was looked at.
      const part = backup.manifest.parts.find((one) => one.name === name) as BackupPart
      const bar = progress(`Restoring ${name}`, rowsOf(part))
      const { actor } = operatorHere('')
      let loading = 0
      const onTable = (table: { readonly rows: number }) => {
        bar.tick(loading)
        loading = table.rows
      }
      const restored = await restorePart(url, { backup, part }, { actor, onTable })
      bar.tick(loading)
      bar.done(restored ? undefined : `${placeOf(url)} has it already`)
    }
    report(options, backup)
  } finally {
    await stops.close()
  }
}

function rowsOf({ tables }: BackupPart): number {
  return tables.reduce((sum, { rows }) => sum + rows, 0)
}

/** Settings with which the restored database could not be used: sentences. */
function problemsOf(config: Config, { manifest }: Backup): string[] {
  const problems: string[] = []
  const { shards, currency } = manifest
  const wrong = shards === null ? null : wrongShards(shards, config.shards)
  if (wrong !== null) problems.push(wrong)
  if (currency !== null && currency !== config.currency) {
    problems.push(wrongCurrency(currency, config.currency))
  }
  const map = config.shardDatabases === null ? null : mapText(config.shardDatabases)
  if (map !== manifest.map) {
    const has = manifest.map === null ? 'one server' : `servers with the shards ${manifest.map}`
    problems.push(`SHARD_DATABASES must be as the backup is: it is of ${has}`)
  }
  return problems
}

/** Throws unless each part of the backup has its place: the home side may have moved. */
function demandParts(parts: readonly { readonly name: string }[], { manifest }: Backup): void {
  const [named, its] = [parts, manifest.parts].map((all) => all.map(({ name }) => name).toSorted())
  if (String(named) === String(its)) return
  throw new ConfigError([
    `DATABASE_URL and SHARD_DATABASES must be as they were: the backup has the parts ` +
      `${its?.join(', ')}, and they name ${named?.join(', ')}`,
  ])
}

async function checkFiles(backup: Backup): Promise<void> {
  const files = backup.manifest.parts.flatMap(({ tables }) => tables)
  const bar = progress('Checking files', files.length)
  for (const file of files) {
    await checkFile(backup, file)
    bar.tick(1)
  }
  bar.done()
}

function report({ check = false, json }: RestoreOptions, { folder, manifest }: Backup): void {
  const { id, version, parts } = manifest
  const shown = parts.map((part) => ({
    name: part.name,
    moment: part.moment,
    rows: rowsOf(part),
  }))
  if (json === true) return print(writeJson({ id, version, from: folder, check, parts: shown }))
  for (const { name, moment, rows } of shown) {
    print(`${name}: ${countText(rows)} rows, as of ${moment}`)
  }
  if (check) return print('The backup is countText, and was not changed. Nothing was restored.')
  print(
    'Restored. What happened after that moment is missing: run `payments recover`, which ' +
      'compares\nwith the gateways. No API and no worker starts before.',
  )
}

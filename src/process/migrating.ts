import { grantTo } from '../adapters/app-role.ts'
import type { AsJson } from '../adapters/command-options.ts'
import { print } from '../adapters/commands.ts'
import { migrate, migrationStatus } from '../adapters/migrate.ts'
import { loadConfig, readEnvironment } from '../config/config.ts'
import { writeJson } from '../domain/exact-json.ts'
import { closing } from './closing.ts'
import { openDatabase, placeOf, serversOf } from './database.ts'

/** The options of `payments migrate`. */
export interface MigrateOptions extends AsJson {
  readonly dryRun?: boolean
  readonly status?: boolean
  readonly embedded?: boolean
  /** The role that is granted what the service needs. */
  readonly appRole?: string
}

/** `payments migrate`: bring the newest schema to every server, or say what that would do. */
export async function runMigrate(options: MigrateOptions): Promise<void> {
  const config = loadConfig(readEnvironment(process.cwd()))
  const stops = closing()
  try {
    const embedded = options.embedded === true ? 'made' : 'found'
    const url = await openDatabase(config, { stops, say: tell, schema: 'any', embedded })
    const servers = serversOf(config, url)
    const results: object[] = []
    for (const server of servers) {
      if (servers.length > 1 && options.json !== true) print(`${placeOf(server.url)}:`)
      const result = await (options.status ? statusOf : migrateOne)(server.url, options)
      const fields = Array.isArray(result) ? { migrations: result } : result
      results.push(servers.length === 1 ? result : { server: placeOf(server.url), ...fields })
    }
    const [first] = results
    if (options.json) print(writeJson(results.length === 1 ? first : results))
  } finally {
    await stops.close()
  }
}

async function migrateOne(url: string, options: MigrateOptions): Promise<object> {
  const dryRun = options.dryRun ?? false
  const appRole = dryRun ? undefined : options.appRole
  const say = options.json ? () => undefined : print
  const result = await migrate(url, { log: say, dryRun })
  if (appRole !== undefined) await grantTo(url, appRole)
  if (dryRun) for (const name of result.applied) say(`Would apply ${name}`)
  say(migrated(result, dryRun))
  if (appRole !== undefined) say(`Granted to ${appRole} what the service needs.`)
  return { ...result, app_role: appRole ?? null }
}

function migrated(
  { applied, current }: { readonly applied: readonly string[]; readonly current: string },
  dryRun: boolean,
): string {
  const at = current === '' ? 'without tables' : `at ${current}`
  if (applied.length === 0) return `Up to date ${at}.`
  return dryRun ? `The database is ${at}; nothing was changed.` : `Now ${at}.`
}

async function statusOf(url: string, options: MigrateOptions): Promise<object> {
  const migrations = await migrationStatus(url)
  for (const { name, appliedAt } of options.json ? [] : migrations) {
    print(`${appliedAt === null ? 'pending                 ' : appliedAt.toISOString()}  ${name}`)
  }
  return migrations.map(({ name, appliedAt }) => ({ name, applied_at: appliedAt }))
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`)
}

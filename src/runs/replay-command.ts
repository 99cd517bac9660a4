import type { Command } from 'commander'
import { operatorHere, parseId, print, refusedAs, withOpen } from '../adapters/commands.ts'
import type { Opened } from '../adapters/commands.ts'
import { parseTypes } from '../adapters/webhook-arguments.ts'
import type { ActWorld } from '../dead-letters/letter-act.ts'
import { writeJson } from '../domain/json.ts'
import type { Clock } from '../ports.ts'
import type { FoundEvents } from '../webhooks/replay-bodies.ts'
import { readEndpoint } from '../webhooks/store.ts'
import { planReplay, REPLAY_RATE_DEFAULT, replayOf, type ReplayRequest } from './events.ts'
import { RATE_MAX, start } from './run.ts'
import type { Run } from './store.ts'
import { carryOut, confirmed, isMisused, parseRate, parseTime } from './run-command.ts'

interface World extends ActWorld {
  readonly clock: Clock
}

interface Options {
  readonly types?: string[]
  readonly undelivered?: boolean
  readonly before?: Date
  readonly after?: Date
  readonly rate: number
  readonly reason?: string
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly json?: boolean
}

/** The exit code: it was canceled, or events were no longer kept. */
const INCOMPLETE = 1

/**
 * `payments webhooks replay`: send events of a time to an endpoint again. The run is carried out
 * here and by any service that runs; workers make the calls. Exit code 0: every event is on its way
 * again; 1: some are not; 2: the call is wrong.
 */
export function replayCommand(webhooks: Command, open: () => Promise<Opened<World>>): void {
  webhooks
    .command('replay')
    .description('Send events to an endpoint again; without filters, all that are kept.')
    .argument('<id>', 'the id of the endpoint', parseId)
    .option('--types <list>', 'only these, such as payment.*', parseTypes)
    .option('--undelivered', 'only what failed or was never sent')
    .option('--after <time>', 'only of this moment or later, such as 2030-01-31T12:00Z', parseTime)
    .option('--before <time>', 'only of before this moment', parseTime)
    .option('--dry-run', 'say how many match and send nothing')
    .option('--rate <n>', `events per second, 1 to ${RATE_MAX}`, parseRate, REPLAY_RATE_DEFAULT)
    .option('--reason <text>', 'why; kept in the record for good')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .action(async (id: bigint, options: Options) => {
      if (!isMisused(options)) await withOpen(open, (world) => replay(world, id, options))
    })
}

async function replay(world: World, id: bigint, options: Options): Promise<void> {
  const { actor } = operatorHere('')
  const endpoint = await readEndpoint(world.db.global, id)
  if (endpoint?.url == null) throw refusedAs('endpoint_not_found')
  const found = await planReplay(world.db, endpoint, askedBy(options), actor)
  if (options.dryRun || found.count === 0) {
    print(options.json ? writeJson(await planBody(id, found)) : summary(found))
    return
  }
  if (!options.json) print(summary(found))
  if (!options.yes && !(await confirmed(`Send ${events(found.count)} again?`))) {
    print('Nothing was sent.')
    return
  }
  await send(world, { endpointId: id, snapshot: found.snapshot }, options)
}

function askedBy({ types, undelivered, after, before }: Options): ReplayRequest {
  return {
    types: types ?? null,
    undelivered: undelivered ?? false,
    createdAfter: after ?? null,
    createdBefore: before ?? null,
  }
}

async function send(
  world: World,
  { endpointId, snapshot }: { readonly endpointId: bigint; readonly snapshot: bigint },
  { reason, rate, json }: Options,
): Promise<void> {
  const by = operatorHere(reason?.trim() ?? '')
  const answer = await start(world, snapshot, { ...by, ratePerSecond: rate, endpointId })
  if (answer.kind === 'refused') throw refusedAs(answer.refusal.code)
  const ended = await carryOut(world, answer.run, by.actor, json ? null : 'Sending')
  print(json ? await runJson(world, ended) : ending(ended))
  if (ended.state !== 'done' || ended.skipped > 0) process.exitCode = INCOMPLETE
}

function summary({ count, byType, oldestAt, newestAt, until, missing }: FoundEvents): string {
  const ill = missing.map(
    (number) => `  shard ${number} could not be read: run it again for its events`,
  )
  if (count === 0 && until === null) return ['No event matches.', ...ill].join('\n')
  const time = `${oldestAt?.toISOString()} to ${newestAt?.toISOString()}`
  const parts = byType.map((part) => `  ${part.count} ${part.type}`)
  const more = until === null ? [] : [`  there may be more: --after ${until.toISOString()}`]
  const head =
    count === 0 ? 'No event matches so far.' : `${events(count)} of ${time} would be sent again:`
  return [head, ...parts, ...more, ...ill].join('\n')
}

function ending(run: Run): string {
  const how = run.state === 'canceled' ? 'Canceled' : 'Done'
  const left = run.total - run.position
  const counts = `${run.redriven} on their way, ${run.skipped} no longer kept`
  return `${how}: ${counts}, ${left} not reached. Replay ${run.id}.`
}

// The schemas of the API are loaded where they are needed: help does without.

async function planBody(id: bigint, found: FoundEvents) {
  const { replayPlanBody } = await import('../webhooks/replay-bodies.ts')
  return replayPlanBody(id, found)
}

async function runJson({ db }: World, run: Run): Promise<string> {
  const { replayBody } = await import('./replay-bodies.ts')
  return writeJson(replayBody(await replayOf(db, run)))
}

function events(count: number): string {
  return count === 1 ? '1 event' : `${count} events`
}

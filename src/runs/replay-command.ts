import type { Command } from 'commander'
import { operatorHere, parseId, refusedAs, withOpen } from '../adapters/commands.ts'
import type { Opened } from '../adapters/commands.ts'
import { parseTypes } from '../adapters/webhook-arguments.ts'
import { writeJson } from '../domain/json.ts'
import type { FoundEvents } from '../webhooks/replay-bodies.ts'
import { readEndpoint } from '../webhooks/store.ts'
import { planReplay, REPLAY_RATE_DEFAULT, replayOf, type ReplayRequest } from './events.ts'
import type { Run } from './store.ts'
import { isMisused, planned, withRunOptions, type Call, type RunWorld } from './run-command.ts'

interface Options extends Call {
  readonly types?: string[]
  readonly undelivered?: boolean
}

/**
 * `payments webhooks replay`: send events of a time to an endpoint again. The run is carried out
 * here and by any service that runs; workers make the calls. Exit code 0: every event is on its way
 * again; 1: some are not; 2: the call is wrong.
 */
export function replayCommand(webhooks: Command, open: () => Promise<Opened<RunWorld>>): void {
  const command = webhooks
    .command('replay')
    .description('Send events to an endpoint again; without filters, all that are kept.')
    .argument('<id>', 'the id of the endpoint', parseId)
    .option('--types <list>', 'only these, such as payment.*', parseTypes)
    .option('--undelivered', 'only what failed or was never sent')

  const words = {
    items: 'events',
    dryRun: 'send nothing',
    made: 'written',
    rate: REPLAY_RATE_DEFAULT,
  }
  withRunOptions(command, words).action(async (id: bigint, options: Options) => {
    if (!isMisused(options)) await withOpen(open, (world) => replay(world, id, options))
  })
}

async function replay(world: RunWorld, id: bigint, options: Options): Promise<void> {
  const endpoint = await readEndpoint(world.db.global, id)
  if (endpoint?.url == null) throw refusedAs('endpoint_not_found')
  const { actor } = operatorHere('')
  const found = await planReplay(world.db, endpoint, askedBy(options), actor)
  await planned(world, options, {
    snapshot: found.snapshot,
    count: found.count,
    endpointId: id,
    json: async () => writeJson(await planBody(id, found)),
    text: () => summary(found),
    question: `Send ${events(found.count)} again?`,
    declined: 'Nothing was sent.',
    label: 'Sending',
    ended: {
      json: (run) => runJson(world, run),
      text: ending,
      isWhole: ({ skipped }) => skipped === 0,
    },
  })
}

function askedBy({ types, undelivered, after, before }: Options): ReplayRequest {
  return {
    types: types ?? null,
    undelivered: undelivered ?? false,
    createdAfter: after ?? null,
    createdBefore: before ?? null,
  }
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

async function runJson({ db }: RunWorld, run: Run): Promise<string> {
  const { replayBody } = await import('./replay-bodies.ts')
  return writeJson(replayBody(await replayOf(db, run)))
}

function events(count: number): string {
  return count === 1 ? '1 event' : `${count} events`
}

import type { Command } from 'commander'
import { parseIdArgument } from '../adapters/command-options.ts'
import { CommandMisused, operatorHere, refusedAs } from '../adapters/commands.ts'
import { withOpen, type Opened } from '../adapters/commands.ts'
import { parseTypes } from '../adapters/webhook-command-options.ts'
import { writeJson } from '../domain/exact-json.ts'
import type { FoundEvents } from '../webhooks/replay-plan-bodies.ts'
import { readEndpoint } from '../webhooks/store.ts'
import { planReplay, REPLAY_RATE_DEFAULT, replayOf, type ReplayRequest } from './events.ts'
import { readRun } from './read-store.ts'
import type { Run } from './store.ts'
import { demandCall, planned, withRunOptions, type RunCall, type RunWorld } from './run-command.ts'

interface Options extends RunCall {
  readonly types?: string[]
  readonly undelivered?: boolean
  readonly snapshot?: bigint
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
    .argument('<id>', 'the id of the endpoint', parseIdArgument)
    .option('--types <list>', 'only these, such as payment.*', parseTypes)
    .option('--undelivered', 'only what failed or was never sent')
    .option('--snapshot <id>', 'what a dry run, or enabling, has found', parseIdArgument)

  const words = {
    items: 'events',
    dryRun: 'send nothing',
    made: 'written',
    rate: REPLAY_RATE_DEFAULT,
  }
  withRunOptions(command, words).action(async (id: bigint, options: Options) => {
    demandCall(options)
    demandUnmixed(options)
    await withOpen(open, (world) => replay(world, id, options))
  })
}

/** Refuse a call that says twice which events are meant. */
function demandUnmixed({ snapshot, types, undelivered, after, before, dryRun }: Options): void {
  if (snapshot === undefined) return
  if ([types, undelivered, after, before, dryRun].every((one) => one === undefined)) return
  throw new CommandMisused(
    'A snapshot was found by a dry run: it takes no filter and no other one.',
  )
}

async function replay(world: RunWorld, id: bigint, options: Options): Promise<void> {
  const endpoint = await readEndpoint(world.db.global, id)
  if (endpoint === null) throw refusedAs('endpoint_not_found')
  if (endpoint.url === null) throw refusedAs('endpoint_not_called')
  const { actor } = operatorHere('')
  const { snapshot: asked } = options
  const plan = asked === undefined ? null : await readRun(world.db.global, asked, id)
  if (asked !== undefined && plan === null) throw refusedAs('replay_not_found')
  const found = plan ?? (await planReplay(world.db, endpoint, askedBy(options), actor))
  const [snapshot, count] =
    'snapshot' in found ? [found.snapshot, found.count] : [found.id, found.total]
  const text = () =>
    'snapshot' in found ? summary(found) : `${events(count)} would be sent again.`
  const json = async () =>
    writeJson(
      'snapshot' in found ? await planBody(id, found) : { snapshot: Number(snapshot), count },
    )
  await planned(world, options, {
    snapshot,
    count,
    endpointId: id,
    json,
    text,
    question: `Send ${events(count)} again?`,
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
  const counts = `${run.carriedOut} on their way, ${run.skipped} no longer kept`
  return `${how}: ${counts}, ${left} not reached. Replay ${run.id}.`
}

// The schemas of the API are loaded where they are needed: help does without.

async function planBody(id: bigint, found: FoundEvents) {
  const { replayPlanBody } = await import('../webhooks/replay-plan-bodies.ts')
  return replayPlanBody(id, found)
}

async function runJson({ db }: RunWorld, run: Run): Promise<string> {
  const { replayBody } = await import('./replay-bodies.ts')
  return writeJson(replayBody(await replayOf(db, run)))
}

function events(count: number): string {
  return count === 1 ? '1 event' : `${count} events`
}

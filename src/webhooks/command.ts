import { Option, type Command } from 'commander'
import {
  JSON_OPTION,
  parseIdArgument,
  REASON_OPTION,
  type ActOptions,
  type AsJson,
} from '../adapters/command-options.ts'
import { print, refusedAs, refusedBy, withOpen, type Opened } from '../adapters/commands.ts'
import { messageId } from '../domain/event.ts'
import { writeJson } from '../domain/exact-json.ts'
import { printable } from '../domain/printable.ts'
import { urlProblem } from '../domain/webhook-url.ts'
import {
  parseDescription,
  parseEvent,
  parseDeliveries,
  parseOverlap,
  parseRate,
  parseTypes,
} from '../adapters/webhook-command-options.ts'
import type { Db } from '../ports.ts'
import { deliveryAttempts, deliverAgain, newestDeliveries } from './deliveries.ts'
import type { DeliveryView } from './views-store.ts'
import { untilCalledAnew } from './deliver.ts'
import { addEndpoint, dropEndpoint, editEndpoint, rotateSecret, testEndpoint } from './endpoints.ts'
import { listenCommand } from './listen-command.ts'
import type { FoundEvents } from './replay-plan-bodies.ts'
import { listEndpoints, readEndpoint, type Endpoint, type EndpointChange } from './store.ts'
import { pauseIn, pausesOf, type Pauses } from './pauses.ts'
import { byHere, came, type EndpointCommandWorld, type Within } from './shared-command.ts'

type FindMissed = (
  db: Db,
  before: Endpoint,
  endpoint: Endpoint,
  actor: string,
) => Promise<FoundEvents | null>

type Open = () => Promise<Opened<{ readonly webhooks: EndpointCommandWorld }>>

const PAYLOADS = ['full', 'thin'] as const
const STATES = ['pending', 'delivered', 'failed'] as const
const PAYLOAD_OPTION = () =>
  new Option('--payload <kind>', 'full: events carry the payment; thin: its id').choices(PAYLOADS)
const ID = ['<id>', 'the id of the endpoint', parseIdArgument] as const
const EVENT = ['<event>', 'the id of the event, such as msg_1', parseEvent] as const

/**
 * `payments webhooks …`, on the database itself, so that it works while no API runs. Each ends with
 * 1 when it is refused; `test` also when the endpoint does not take the message.
 */
export function webhooksCommand(program: Command, open: Open, missed: FindMissed): Command {
  const webhooks = program
    .command('webhooks')
    .description('Make, list and change webhook endpoints; see deliveries; listen to events.')
  const within = (work: (world: EndpointCommandWorld) => Promise<void>) =>
    withOpen(open, (tool) => work(tool.webhooks))
  readCommands(webhooks, within)
  changeCommands(webhooks, within)
  stateCommands(webhooks, within, missed)
  deliveryCommands(webhooks, within)
  sendCommands(webhooks, within)
  listenCommand(webhooks, within)
  return webhooks
}

function readCommands(webhooks: Command, within: Within): void {
  webhooks
    .command('list')
    .description('List the endpoints.')
    .option(...JSON_OPTION)
    .action(({ json }: AsJson) =>
      within(async ({ db }) => {
        const endpoints = await listEndpoints(db.global)
        const pauses = await pausesOf(db)
        if (json) {
          const { endpointBody } = await import('./bodies.ts')
          return print(writeJson({ data: endpoints.map((one) => endpointBody(one, pauses)) }))
        }
        if (endpoints.length === 0) print('No endpoints.')
        for (const endpoint of endpoints) print(lineOf(endpoint, pauses))
      }),
    )
  webhooks
    .command('show')
    .description('Show an endpoint. Its secret is shown by nothing any more.')
    .argument(...ID)
    .option(...JSON_OPTION)
    .action((id: bigint, { json }: AsJson) =>
      within(async ({ db }) => show(db, await readEndpoint(db.global, id), json)),
    )
}

interface Draft extends AsJson {
  readonly url?: string
  readonly types: string[]
  readonly description?: string
  readonly payload?: Endpoint['payload']
  readonly ordered?: boolean
  readonly rate?: number
}

function changeCommands(webhooks: Command, within: Within): void {
  webhooks
    .command('create')
    .description('Make an endpoint. Its secret is shown only now.')
    .option('--url <url>', 'where events are sent; without one they are polled')
    .requiredOption('--types <list>', 'such as payment.*,dead_letter.opened', parseTypes)
    .option('--description <text>', 'for people, at most 200 characters', parseDescription)
    .addOption(PAYLOAD_OPTION())
    .option('--ordered', 'events of a payment one after the other')
    .option('--rate <n>', 'calls a second at most, 1 to 1000', parseRate)
    .option(...JSON_OPTION)
    .action((draft: Draft) => within((world) => create(world, draft)))
  webhooks
    .command('update')
    .description('Change an endpoint; what is not given stays as it is.')
    .argument(...ID)
    .option('--types <list>', 'such as payment.*,dead_letter.opened', parseTypes)
    .option('--description <text>', 'for people; an empty one takes it away', parseDescription)
    .addOption(PAYLOAD_OPTION())
    .option('--ordered', 'events of a payment one after the other')
    .option('--no-ordered', 'in any order')
    .option('--rate <n>', 'calls a second at most, 1 to 1000', parseRate)
    .option('--no-rate', 'as many calls as there are')
    .option('--url <url>', 'where events are sent from now on')
    .option(...JSON_OPTION)
    .action((id: bigint, { json, ...given }: Update, command: Command) => {
      if (Object.keys(given).length === 0) command.error('error: say what is to change')
      const change = changeOf(given)
      return within(async (world) => {
        demandUrl(world, change.url ?? null)
        const before = change.url === undefined ? null : await readEndpoint(world.db.global, id)
        if (before !== null && before.url === null) throw refusedAs('endpoint_not_called')
        const endpoint = await editEndpoint(world.db, id, change, byHere())
        if (endpoint !== null && change.url !== undefined) await untilCalledAnew(world)
        await show(world.db, endpoint, json)
      })
    })
  webhooks
    .command('delete')
    .description('Remove an endpoint. Events that were kept stay.')
    .argument(...ID)
    .option(...JSON_OPTION)
    .action((id: bigint, { json }: AsJson) =>
      within(async (world) => {
        if (!(await dropEndpoint(world.db, id, byHere()))) throw refusedAs('endpoint_not_found')
        await untilCalledAnew(world)
        print(json ? writeJson({ id: Number(id), removed: true }) : `Endpoint ${id} is removed.`)
      }),
    )
  webhooks
    .command('rotate')
    .description('Give an endpoint a new secret, which is shown only now.')
    .argument(...ID)
    .option('--overlap-seconds <n>', 'how long the old one signs as well', parseOverlap, 86_400)
    .option(...JSON_OPTION)
    .action((id: bigint, { overlapSeconds, json }: AsJson & { readonly overlapSeconds: number }) =>
      within(async (world) => {
        const rotated = await rotateSecret(world, id, overlapSeconds * 1_000, byHere())
        if (rotated.kind === 'refused') throw refusedBy(rotated.refusal)
        await untilCalledAnew(world)
        await showSecret(world.db, rotated, json)
      }),
    )
}

function stateCommands(webhooks: Command, within: Within, missed: FindMissed): void {
  webhooks
    .command('enable')
    .description('Call an endpoint again; what waits for it goes on.')
    .argument(...ID)
    .option(...JSON_OPTION)
    .action((id: bigint, { json }: AsJson) => within((world) => enable(world, id, missed, json)))
  webhooks
    .command('disable')
    .description('Call an endpoint no more. Its events are kept.')
    .argument(...ID)
    .option(...JSON_OPTION)
    .action((id: bigint, { json }: AsJson) =>
      within(async (world) => {
        const endpoint = await editEndpoint(world.db, id, { state: 'disabled' }, byHere())
        if (endpoint !== null) await untilCalledAnew(world)
        await show(world.db, endpoint, json)
      }),
    )
}

/** Call an endpoint again, and say what it has missed. */
async function enable(
  { db }: EndpointCommandWorld,
  id: bigint,
  findMissed: FindMissed,
  json: boolean | undefined,
): Promise<void> {
  const before = await readEndpoint(db.global, id)
  const endpoint = await editEndpoint(db, id, { state: 'enabled' }, byHere())
  if (endpoint === null || before === null) return show(db, endpoint, json)
  // It is enabled, whether what it missed can be counted now or not.
  const missed = await findMissed(db, before, endpoint, byHere().actor).catch(() => null)
  if (missed === null) return show(db, endpoint, json)
  if (json) {
    const { replayPlanBody } = await import('./replay-plan-bodies.ts')
    const body = { ...(await bodyOf(db, endpoint)), missed: replayPlanBody(id, missed) }
    return print(writeJson(body))
  }
  print(lineOf(endpoint, new Map()))
  const { snapshot, matching, count, until } = missed
  if (count === 0 && until === null) return
  // Exactly these: what it never wanted lies between them, and was not sent either.
  const most = until === null ? '' : 'at least '
  print(
    `It has missed ${most}${matching} events: payments webhooks replay ${id} --snapshot ` +
      `${snapshot}`,
  )
  if (until !== null) print('Enable it once more when these are sent, for the rest.')
}

interface Update extends Omit<EndpointChange, 'ratePerSecond'>, AsJson {
  readonly rate?: number | false
}

/** A change as it was typed: an empty description and no rate take away what there was. */
function changeOf({ rate, description, ...given }: Omit<Update, 'json'>): EndpointChange {
  return {
    ...given,
    ...(description === undefined ? {} : { description: description || null }),
    ...(rate === undefined ? {} : { ratePerSecond: rate || null }),
  }
}

function demandUrl({ urls }: EndpointCommandWorld, url: string | null): void {
  const problem = url === null ? null : urlProblem(url, urls)
  if (problem === null) return
  throw refusedBy({ code: 'url_refused', errors: [{ field: 'url', code: problem }] }, problem)
}

async function create(world: EndpointCommandWorld, draft: Draft): Promise<void> {
  const { url = null, types, description = '', payload = 'full', ordered = false, json } = draft
  const { rate: ratePerSecond = null } = draft
  demandUrl(world, url)
  const endpoint = { url, types, description: description || null, payload, ordered, ratePerSecond }
  const made = await addEndpoint(world.db, endpoint, byHere(), world.key)
  if (made.kind === 'refused') throw refusedBy(made.refusal)
  await showSecret(world.db, made, json)
}

function deliveryCommands(webhooks: Command, within: Within): void {
  webhooks
    .command('deliveries')
    .description('List the newest deliveries of an endpoint, newest first.')
    .argument(...ID)
    .addOption(new Option('--state <state>', 'only those in this state').choices(STATES))
    .option('--limit <n>', 'deliveries to list, 1 to 500', parseDeliveries, 50)
    .option(...JSON_OPTION)
    .action((id: bigint, options: AsJson & { state?: DeliveryView['state']; limit: number }) =>
      within(async ({ db }) => {
        if ((await readEndpoint(db.global, id)) === null) throw refusedAs('endpoint_not_found')
        const deliveries = await newestDeliveries(db, id, options.state ?? null, options.limit)
        if (options.json) {
          const { deliveryBody } = await import('./bodies.ts')
          return print(writeJson({ data: deliveries.map(deliveryBody) }))
        }
        if (deliveries.length === 0) print('No deliveries.')
        for (const one of deliveries) print(deliveryLine(one))
      }),
    )
  webhooks
    .command('attempts')
    .description('List the calls of a delivery, newest first.')
    .argument(...ID)
    .argument(...EVENT)
    .option(...JSON_OPTION)
    .action((id: bigint, event: bigint, { json }: AsJson) =>
      within(async ({ db }) => {
        const attempts = await deliveryAttempts(db, { endpointId: id, eventId: event })
        if (attempts.kind === 'refused') throw refusedBy(attempts.refusal)
        const { calls } = attempts
        const { attemptBody } = await import('./bodies.ts')
        if (json) return print(writeJson({ data: calls.map(attemptBody) }))
        if (calls.length === 0) print('No calls so far.')
        for (const { calledAt, ...call } of calls) {
          print(`${calledAt.toISOString()}  ${came(call)}${said(call.reply)}`)
        }
      }),
    )
}

function sendCommands(webhooks: Command, within: Within): void {
  webhooks
    .command('retry')
    .description('Send an event to an endpoint again, whether it has arrived or not.')
    .argument(...ID)
    .argument(...EVENT)
    .option(...REASON_OPTION)
    .option(...JSON_OPTION)
    .action((id: bigint, event: bigint, { reason, json }: Partial<ActOptions>) =>
      within(async ({ db }) => {
        const by = { ...byHere(), reason }
        const again = await deliverAgain(db, { endpointId: id, eventId: event }, by)
        if (again.kind === 'refused') throw refusedBy(again.refusal)
        const body = { id: Number(id), event_id: messageId(event), due: true }
        print(json ? writeJson(body) : `${messageId(event)} is due; a worker sends it.`)
      }),
    )
  webhooks
    .command('test')
    .description('Send a test message to an endpoint, from this machine.')
    .argument(...ID)
    .option(...JSON_OPTION)
    .action((id: bigint, { json }: AsJson) =>
      within(async (world) => {
        const called = await testEndpoint(world, id, world.newMessageId())
        if (called.kind === 'refused') throw refusedBy(called.refusal)
        const { status, reason, tookMs, reply } = called
        const body = { status, reason, took_ms: tookMs, reply }
        print(json ? writeJson(body) : `${came(called)}${said(reply)}`)
        if (status === null || status < 200 || status > 299) process.exitCode = 1
      }),
    )
}

function said(reply: string | null): string {
  return reply === null ? '' : `  ${printable(reply.slice(0, 200))}`
}

/** A delivery in one line: the event, where it stands, and what the last call came to. */
function deliveryLine(one: DeliveryView): string {
  const { eventId, type, state, attempts, nextAt, status, reason, tookMs } = one
  const next = nextAt === null ? '' : `  next ${nextAt.toISOString()}`
  const last = tookMs === null ? '' : `  last ${came({ status, reason, tookMs })}`
  return `${messageId(eventId)}  ${type}  ${state}  ${attempts} calls${last}${next}`
}

/** The schemas of the API are loaded where they are needed: help does without. */
async function bodyOf(db: Db, endpoint: Endpoint) {
  const { endpointBody } = await import('./bodies.ts')
  return endpointBody(endpoint, await pausesOf(db))
}

async function show(db: Db, endpoint: Endpoint | null, json: boolean | undefined): Promise<void> {
  if (endpoint === null) throw refusedAs('endpoint_not_found')
  if (json) return print(writeJson(await bodyOf(db, endpoint)))
  print(lineOf(endpoint, await pausesOf(db)))
}

async function showSecret(
  db: Db,
  { endpoint, secret }: { readonly endpoint: Endpoint; readonly secret: string | null },
  json: boolean | undefined,
): Promise<void> {
  if (json) return print(writeJson({ ...(await bodyOf(db, endpoint)), secret }))
  print(lineOf(endpoint, new Map()))
  if (secret !== null) print(`Keep its secret; it is not shown again: ${secret}`)
}

/** An endpoint in one line; until when it is not called, where it has asked for that. */
function lineOf(endpoint: Endpoint, pauses: Pauses): string {
  const { id, url, types, description, state, disabledWhy, payload, ordered } = endpoint
  const { ratePerSecond: rate } = endpoint
  const paused = pauseIn(pauses, endpoint)
  const until = paused === null ? '' : ` (paused until ${paused.toISOString()})`
  const why = disabledWhy === null ? `${state}${until}` : `${state} (${disabledWhy})`
  const how = [
    payload === 'thin' ? 'thin' : '',
    ordered ? 'ordered' : '',
    rate === null ? '' : `${rate} a second`,
  ]
  const facts = [url ?? 'polled', types.join(','), why, ...how, description ?? '']
  return `${id}  ${facts.filter(Boolean).map(printable).join('  ')}`
}

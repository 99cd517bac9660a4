import { Option, type Command } from 'commander'
import { operatorHere, parseId, print, refusedAs, withOpen } from '../adapters/commands.ts'
import type { Opened } from '../adapters/commands.ts'
import { messageId } from '../domain/event.ts'
import { writeJson } from '../domain/json.ts'
import { printable } from '../domain/printable.ts'
import { urlProblem } from '../domain/webhook.ts'
import {
  parseDescription,
  parseEvent,
  parseDeliveries,
  parseOverlap,
  parseRate,
  parseSecret,
  parseTypes,
  parseUrl,
} from '../adapters/webhook-arguments.ts'
import { newestDeliveries } from './deliveries.ts'
import { listAttempts, retryDelivery, type DeliveryView } from './deliveries-store.ts'
import {
  addEndpoint,
  dropEndpoint,
  editEndpoint,
  rotateSecret,
  testEndpoint,
  type TestWorld,
} from './endpoints.ts'
import { listen, type Heard } from './listen.ts'
import { newSecret } from './secrets.ts'
import { listEndpoints, readEndpoint, type Endpoint, type EndpointChange } from './store.ts'

/** What the commands about endpoints work with. */
interface World extends TestWorld {
  readonly development: boolean
  readonly newMessageId: () => string
  /** Calls what `listen` forwards to. */
  readonly forward: TestWorld['send']
}

type Open = () => Promise<Opened<{ readonly webhooks: World }>>

/** What each of these commands takes. */
interface Json {
  readonly json?: boolean
}

const PAYLOADS = ['full', 'thin'] as const
const STATES = ['pending', 'delivered', 'failed'] as const
const PAYLOAD_OPTION = () =>
  new Option('--payload <kind>', 'full: events carry the payment; thin: its id').choices(PAYLOADS)
const JSON_OPTION = ['--json', 'print JSON'] as const
const ID = ['<id>', 'the id of the endpoint', parseId] as const
const EVENT = ['<event>', 'the id of the event, such as msg_1', parseEvent] as const

/**
 * `payments webhooks …`, on the database itself, so that it works while no API runs. Each ends with
 * 1 when it is refused; `test` also when the endpoint does not take the message.
 */
export function webhooksCommand(program: Command, open: Open): void {
  const webhooks = program
    .command('webhooks')
    .description('Make, list and change webhook endpoints; see deliveries; listen to events.')
  const within = (work: (world: World) => Promise<void>) =>
    withOpen(open, (tool) => work(tool.webhooks))
  readCommands(webhooks, within)
  changeCommands(webhooks, within)
  deliveryCommands(webhooks, within)
  listenCommand(webhooks, within)
}

/** Who works at this terminal, for the record. */
function byHere() {
  const { actor, requestId } = operatorHere('')
  return { actor, requestId }
}

type Within = (work: (world: World) => Promise<void>) => Promise<void>

function readCommands(webhooks: Command, within: Within): void {
  webhooks
    .command('list')
    .description('List the endpoints.')
    .option(...JSON_OPTION)
    .action(({ json }: Json) =>
      within(async ({ db }) => {
        const endpoints = await listEndpoints(db.global)
        if (json) return print(writeJson({ data: await Promise.all(endpoints.map(bodyOf)) }))
        if (endpoints.length === 0) print('No endpoints.')
        for (const endpoint of endpoints) print(lineOf(endpoint))
      }),
    )
  webhooks
    .command('show')
    .description('Show an endpoint. Its secret is shown by nothing any more.')
    .argument(...ID)
    .option(...JSON_OPTION)
    .action((id: bigint, { json }: Json) =>
      within(async ({ db }) => show(await readEndpoint(db.global, id), json)),
    )
}

interface Draft extends Json {
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
      return within(async ({ db }) => show(await editEndpoint(db, id, change, byHere()), json))
    })
  for (const [name, state, says] of [
    ['enable', 'enabled', 'Call an endpoint again; what waits for it goes on.'],
    ['disable', 'disabled', 'Call an endpoint no more. Its events are kept.'],
  ] as const) {
    webhooks
      .command(name)
      .description(says)
      .argument(...ID)
      .option(...JSON_OPTION)
      .action((id: bigint, { json }: Json) =>
        within(async ({ db }) => show(await editEndpoint(db, id, { state }, byHere()), json)),
      )
  }
  webhooks
    .command('delete')
    .description('Remove an endpoint. Events that were kept stay.')
    .argument(...ID)
    .option(...JSON_OPTION)
    .action((id: bigint, { json }: Json) =>
      within(async ({ db }) => {
        if (!(await dropEndpoint(db, id, byHere()))) throw refusedAs('endpoint_not_found')
        print(json ? writeJson({ id: Number(id), removed: true }) : `Endpoint ${id} is removed.`)
      }),
    )
  webhooks
    .command('rotate')
    .description('Give an endpoint a new secret, which is shown only now.')
    .argument(...ID)
    .option('--overlap-seconds <n>', 'how long the old one signs as well', parseOverlap, 86_400)
    .option(...JSON_OPTION)
    .action((id: bigint, { overlapSeconds, json }: Json & { readonly overlapSeconds: number }) =>
      within(async (world) => {
        const rotated = await rotateSecret(world, id, overlapSeconds * 1_000, byHere())
        if (rotated === null) throw refusedAs('endpoint_not_found')
        await showSecret(rotated, json)
      }),
    )
}

interface Update extends Omit<EndpointChange, 'ratePerSecond'>, Json {
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

async function create(world: World, draft: Draft): Promise<void> {
  const { url = null, types, description = '', payload = 'full', ordered = false, json } = draft
  const { rate: ratePerSecond = null } = draft
  const problem = url === null ? null : urlProblem(url, world.development)
  if (problem !== null) throw refusedAs(`url_refused (${problem})`)
  const own = { url, types, description: description || null, payload, ordered, ratePerSecond }
  const made = await addEndpoint(world.db, own, byHere(), world.key)
  if (made.kind === 'refused') throw refusedAs(made.refusal.code)
  await showSecret(made, json)
}

function deliveryCommands(webhooks: Command, within: Within): void {
  webhooks
    .command('deliveries')
    .description('List the newest deliveries of an endpoint, newest first.')
    .argument(...ID)
    .addOption(new Option('--state <state>', 'only those in this state').choices(STATES))
    .option('--limit <n>', 'deliveries to list, 1 to 500', parseDeliveries, 50)
    .option(...JSON_OPTION)
    .action((id: bigint, options: Json & { state?: DeliveryView['state']; limit: number }) =>
      within(async ({ db }) => {
        if ((await readEndpoint(db.global, id)) === null) throw refusedAs('endpoint_not_found')
        const found = await newestDeliveries(db, id, options.state ?? null, options.limit)
        if (options.json) {
          const { deliveryBody } = await import('./bodies.ts')
          return print(writeJson({ data: found.map(deliveryBody) }))
        }
        if (found.length === 0) print('No deliveries.')
        for (const one of found) print(deliveryLine(one))
      }),
    )
  webhooks
    .command('attempts')
    .description('List the calls of a delivery, newest first.')
    .argument(...ID)
    .argument(...EVENT)
    .option(...JSON_OPTION)
    .action((id: bigint, event: bigint, { json }: Json) =>
      within(async ({ db }) => {
        const calls = await listAttempts(db.of(event), event, id)
        if (calls === null) throw refusedAs('delivery_not_found')
        const { attemptBody } = await import('./bodies.ts')
        if (json) return print(writeJson({ data: calls.map(attemptBody) }))
        if (calls.length === 0) print('No calls so far.')
        for (const { calledAt, ...call } of calls) {
          print(`${calledAt.toISOString()}  ${came(call)}${said(call.reply)}`)
        }
      }),
    )
  webhooks
    .command('retry')
    .description('Send an event to an endpoint again, whether it has arrived or not.')
    .argument(...ID)
    .argument(...EVENT)
    .option(...JSON_OPTION)
    .action((id: bigint, event: bigint, { json }: Json) =>
      within(async ({ db }) => {
        if (!(await retryDelivery(db.of(event), event, id))) throw refusedAs('not_deliverable')
        const body = { id: Number(id), event_id: messageId(event), due: true }
        print(json ? writeJson(body) : `${messageId(event)} is due; a worker sends it.`)
      }),
    )
  webhooks
    .command('test')
    .description('Send a test message to an endpoint, from this machine.')
    .argument(...ID)
    .option(...JSON_OPTION)
    .action((id: bigint, { json }: Json) =>
      within(async (world) => {
        const called = await testEndpoint(world, id, world.newMessageId())
        if (called === null) throw refusedAs('endpoint_not_found')
        const { status, reason, tookMs, reply } = called
        const body = { status, reason, took_ms: tookMs, reply }
        print(json ? writeJson(body) : `${came(called)}${said(reply)}`)
        if (status === null || status < 200 || status > 299) process.exitCode = 1
      }),
    )
}

interface ListenOptions extends Json {
  readonly forwardTo?: string
  readonly types: string[]
  readonly secret?: string
}

function listenCommand(webhooks: Command, within: Within): void {
  webhooks
    .command('listen')
    .description(
      'For development: show events as they happen and forward them, signed, to a program on ' +
        'this machine. Ends with Ctrl-C.',
    )
    .option('--forward-to <url>', 'where to, such as http://localhost:3000/hook', parseUrl)
    .option('--types <list>', 'such as payment.*,dead_letter.opened', parseTypes, ALL_KINDS)
    .option('--secret <whsec>', 'what signs; a new one if left out', parseSecret)
    .option('--json', 'print JSON, a line for each event')
    .action((options: ListenOptions) => within((world) => listenHere(world, options)))
}

const ALL_KINDS = parseTypes('payment.*,dead_letter.*,webhook_endpoint.*')

async function listenHere(world: World, options: ListenOptions): Promise<void> {
  const { forwardTo: url = null, types, json } = options
  const secret = options.secret ?? newSecret()
  const stop = new AbortController()
  const stopped = () => stop.abort()
  // Once: a second signal ends the process whatever it does.
  process.once('SIGINT', stopped).once('SIGTERM', stopped)
  const onReady = () => {
    if (json) return print(writeJson({ listening: true, url, secret }))
    print(url === null ? 'Listening. Ctrl-C ends it.' : `Forwarding to ${url}. Ctrl-C ends it.`)
    if (url !== null) print(`The signing secret is ${secret}`)
  }
  const onEvent = (heard: Heard) => print(json ? writeJson(heardBody(heard)) : heardLine(heard))
  const onError = (error: unknown) =>
    void process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  const how = { types, url, secret, by: byHere(), onReady, onEvent, onError }
  if (!(await listen(world, how, stop.signal))) throw refusedAs('endpoints_full')
}

function heardBody({ event, called }: Heard) {
  const { id, type, paymentId, sequence } = event
  return {
    event_id: messageId(id),
    type,
    payment_id: paymentId === null ? null : Number(paymentId),
    sequence,
    status: called?.status ?? null,
    reason: called?.reason ?? null,
    took_ms: called?.tookMs ?? null,
  }
}

function heardLine({ event: { id, type, paymentId, sequence }, called }: Heard): string {
  const of = paymentId === null ? '' : `  payment ${paymentId}`
  const nth = sequence === null ? '' : ` #${sequence}`
  return `${type}${of}${nth}  ${messageId(id)}${called === null ? '' : `  ${came(called)}`}`
}

/** What a call came to. */
function came(call: {
  readonly status: number | null
  readonly reason: string | null
  readonly tookMs: number
}): string {
  return `${call.status ?? call.reason ?? 'no answer'}  ${call.tookMs} ms`
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
async function bodyOf(endpoint: Endpoint) {
  const { endpointBody } = await import('./bodies.ts')
  return endpointBody(endpoint)
}

async function show(endpoint: Endpoint | null, json: boolean | undefined): Promise<void> {
  if (endpoint === null) throw refusedAs('endpoint_not_found')
  print(json ? writeJson(await bodyOf(endpoint)) : lineOf(endpoint))
}

async function showSecret(
  { endpoint, secret }: { readonly endpoint: Endpoint; readonly secret: string | null },
  json: boolean | undefined,
): Promise<void> {
  if (json) return print(writeJson({ ...(await bodyOf(endpoint)), secret }))
  print(lineOf(endpoint))
  if (secret !== null) print(`Keep its secret; it is not shown again: ${secret}`)
}

function lineOf({ id, url, types, description, state, disabledWhy, ...more }: Endpoint): string {
  const why = disabledWhy === null ? state : `${state} (${disabledWhy})`
  const how = [more.payload === 'thin' ? 'thin' : '', more.ordered ? 'ordered' : '']
  const facts = [url ?? 'polled', types.join(','), why, ...how, description ?? '']
  return `${id}  ${facts.filter(Boolean).map(printable).join('  ')}`
}

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { connect, type Service } from '../sdk/typescript/src/index.ts'
import type { Heard, Receiver } from './receivers.ts'

interface Proof {
  /** The service. */
  readonly url: string
  readonly receivers: readonly Receiver[]
  readonly payments: number
  query<Row extends object>(text: string): Promise<Row[]>
}

/** What one receiver got. */
interface Got {
  readonly name: string
  readonly events: number
  readonly attempts: number
  /** Of those, by the secret that the receiver had. */
  readonly bySecret: readonly number[]
  readonly refused: number
}

/** What happened; `wrong` is empty where everything is as it must be. */
interface Proved {
  readonly events: number
  readonly got: readonly Got[]
  readonly wrong: readonly string[]
}

const USERS = 20
const CALLERS = 24
/** New secrets that every endpoint gets in a run. */
export const ROTATIONS = 2
/** Longer than any run: a receiver has its new secret long before. */
const OVERLAP_SECONDS = 3_600
/** A wait in which nothing changes is over after this long. */
const GIVE_UP_MS = 180_000
const TYPES = ['payment.succeeded', 'payment.failed', 'payment.unknown'] as const
const ENDS: Readonly<Record<string, string>> = {
  success: 'payment.succeeded',
  failed: 'payment.failed',
  unknown: 'payment.unknown',
}

/**
 * Pay, with an endpoint for each receiver, and give every endpoint a new secret twice meanwhile.
 * The first part of a secret's life is verified with the secret before it.
 */
export async function proveWebhooks({ url, receivers, payments, query }: Proof): Promise<Proved> {
  const service = connect({ url })
  await refuseAltered(service, receivers)
  const ids: number[] = []
  for (const receiver of receivers) {
    const { id, secret } = await addEndpoint(service, receiver.url)
    await receiver.use(secret)
    ids.push(id)
  }
  const users = await openUsers(service)
  const rotate = () => rotateAll(service, receivers, ids, query)
  for (let part = 0; part <= ROTATIONS; part += 1) {
    const count = partOf(payments, part)
    const paying = pay(service, users, count)
    if (part < ROTATIONS) {
      await paying.reached(Math.ceil(count / 2))
      // However quickly that was: each secret has to verify something.
      await untilHeard(receivers)
      await rotate()
    }
    await paying.done
  }
  await untilDelivered(receivers, query)
  return judge(receivers, query)
}

/** How many of `payments` are made in a part: one before each rotation, and one after the last. */
function partOf(payments: number, part: number): number {
  const upTo = (parts: number) => Math.floor((payments * parts) / (ROTATIONS + 1))
  return upTo(part + 1) - upTo(part)
}

async function addEndpoint(service: Service, url: string): Promise<{ id: number; secret: string }> {
  const made = await service.webhookEndpoints.create({ url, types: TYPES })
  assert.ok(made.ok && made.endpoint.secret)
  return { id: made.endpoint.id, secret: made.endpoint.secret }
}

async function openUsers({ users }: Service): Promise<number[]> {
  const ids: number[] = []
  for (let user = 0; user < USERS; user += 1) {
    const opened = await users.create({ balance: '0' })
    assert.ok(opened.ok)
    ids.push(opened.user.id)
  }
  return ids
}

/**
 * A message of the service, as it is and with one thing altered at a time: every receiver must
 * believe the first and refuse the others. What is counted begins after it.
 */
async function refuseAltered(service: Service, receivers: readonly Receiver[]): Promise<void> {
  const message = await recorded(service)
  const { body, headers } = message
  const altered = Buffer.from(body)
  altered[altered.length >> 1] = (altered[altered.length >> 1] ?? 0) ^ 1
  const other = (name: string) => ({ ...headers, [name]: next(headers[name] ?? '') })
  for (const receiver of receivers) {
    await receiver.use(message.secret)
    const send = async (text: Buffer, sent: Record<string, string>) => {
      const answer = await fetch(receiver.url, { method: 'POST', body: text, headers: sent })
      return answer.status
    }
    const refused = `${receiver.name} believes a message that was altered`
    assert.notEqual(await send(body, headers), 401, `${receiver.name} refuses a genuine message`)
    assert.equal(await send(altered, headers), 401, `${refused}: a bit of its body`)
    assert.equal(await send(body, other('webhook-id')), 401, `${refused}: its id`)
    assert.equal(await send(body, other('webhook-timestamp')), 401, `${refused}: its time`)
    receiver.forget()
  }
}

/** The same with another last digit. */
function next(text: string): string {
  return text.slice(0, -1) + ((Number(text.at(-1)) + 1) % 10)
}

/** A test message of the service, and the secret that it is signed with. */
async function recorded(service: Service) {
  const server = createServer()
  const come = new Promise<{ body: Buffer; headers: Record<string, string> }>((resolve) => {
    server.on('request', (request, response) => {
      const parts: Buffer[] = []
      request.on('data', (part: Buffer) => parts.push(part))
      request.on('end', () => {
        const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature']
        const headers = names.map((name) => [name, String(request.headers[name])])
        response.writeHead(204).end()
        resolve({ body: Buffer.concat(parts), headers: Object.fromEntries(headers) })
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const { port } = server.address() as AddressInfo
    const { id, secret } = await addEndpoint(service, `http://127.0.0.1:${port}/hook`)
    assert.ok((await service.webhookEndpoints.test(id)).ok)
    assert.ok((await service.webhookEndpoints.remove(id)).ok)
    return { ...(await come), secret }
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

/** Deposit `count` times by several callers; `reached` waits until so many were accepted. */
function pay({ payments }: Service, users: readonly number[], count: number) {
  let [begun, accepted] = [0, 0]
  const waiting: { readonly at: number; readonly go: () => void }[] = []
  const call = async () => {
    while (begun < count) {
      const number = begun++
      const paid = await payments.deposit({ user_id: users[number % USERS] ?? 0, deposit: '20' })
      assert.ok(paid.ok, 'a deposit was refused')
      accepted += 1
      for (const { at, go } of waiting) if (accepted >= at) go()
    }
  }
  const done = Promise.all(Array.from({ length: CALLERS }, call))
  const reached = (at: number) =>
    Promise.race([done, new Promise<void>((go) => void waiting.push({ at, go }))])
  return { done, reached }
}

/**
 * Give every endpoint a new secret, and its receiver too, as soon as no message is under way that
 * was signed before there was one.
 */
async function rotateAll(
  { webhookEndpoints }: Service,
  receivers: readonly Receiver[],
  ids: readonly number[],
  query: Proof['query'],
): Promise<void> {
  const secrets: string[] = []
  for (const id of ids) {
    const rotated = await webhookEndpoints.rotateSecret(id, { overlap_seconds: OVERLAP_SECONDS })
    assert.ok(rotated.ok && rotated.endpoint.secret)
    secrets.push(rotated.endpoint.secret)
  }
  await untilOlderEnded(query)
  for (const [index, receiver] of receivers.entries()) await receiver.use(secrets[index] ?? '')
}

/** Wait until every receiver has got a message since it has its secret. */
function untilHeard(receivers: readonly Receiver[]): Promise<void> {
  return progress('some receiver gets no message', async () =>
    receivers.every(({ heard, secrets }) => heard.length > (secrets.at(-1) ?? 0))
      ? ''
      : counted(receivers),
  )
}

function counted(receivers: readonly Receiver[]): string {
  return receivers.map(({ name, heard }) => `${heard.length} at ${name}`).join(', ')
}

/** Wait until nothing is `left`, and give up where that stays what it is for long. */
async function progress(what: string, left: () => Promise<string>): Promise<void> {
  let [before, sinceMs] = [await left(), performance.now()]
  while (before !== '') {
    assert.ok(performance.now() - sinceMs < GIVE_UP_MS, `${what}, for minutes: ${before}`)
    await wait(50)
    const now = await left()
    if (now !== before) [before, sinceMs] = [now, performance.now()]
  }
}

const OF_CLAIM = `select concat_ws(' ', shard, event_id, endpoint_id, fence) as claim
  from deliveries where leased`

/** Wait for the end of every claim, and of every statement that may make one, that began before. */
async function untilOlderEnded(query: Proof['query']): Promise<void> {
  const [now] = await query<{ at: string }>('select clock_timestamp()::text as at')
  const older = `select 1 from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend'
      and xact_start < '${now?.at}' limit 1`
  while ((await query(older)).length > 0) await wait(20)
  const claims = new Set((await query<{ claim: string }>(OF_CLAIM)).map(({ claim }) => claim))
  const under = async () => (await query<{ claim: string }>(OF_CLAIM)).map(({ claim }) => claim)
  while ((await under()).some((claim) => claims.has(claim))) await wait(50)
}

/**
 * Wait until every payment has ended and everything that it tells has arrived. What is refused is
 * sent again in minutes: nobody waits for it.
 */
async function untilDelivered(
  receivers: readonly Receiver[],
  query: Proof['query'],
): Promise<void> {
  const open = `
    select (select count(*) from payment_tasks)::int
      + (select count(*) from events where position is null)::int
      + (select count(*) from deliveries where state = 'pending')::int as open`
  await progress('what is due does not arrive', async () => {
    const [row] = await query<{ open: number }>(open)
    if (row?.open === 0 || receivers.some(({ heard }) => heard.some(isRefused))) return ''
    return `${row?.open} open, ${counted(receivers)}`
  })
}

function isRefused({ verdict }: Heard): boolean {
  return verdict !== 'ok'
}

interface Told {
  readonly id: string
  readonly payment: string
  readonly type: string
}

/** Compare what arrived with what the service told, and that with how the payments ended. */
export async function judge(
  receivers: readonly Pick<Receiver, 'name' | 'heard' | 'secrets'>[],
  query: Proof['query'],
): Promise<Proved> {
  const told = await query<Told>(
    `select 'msg_' || id as id, payment_id::text as payment, type from events
     where payment_id is not null`,
  )
  const payments = await query<{ payment: string; status: string }>(
    'select id::text as payment, status from payments',
  )
  const finals = payments.map(({ payment, status }) => `${payment} ${ENDS[status] ?? status}`)
  const events = told.map(({ payment, type }) => `${payment} ${type}`)
  const wrong = differ('the events are not the ends of the payments', events, finals)
  const digests = new Map<string, string>()
  const got = receivers.map(({ name, heard, secrets }) => {
    const known = heard.filter((one) => !isRefused(one))
    const arrived = [...new Set(known.filter(({ status }) => status < 300).map(({ id }) => id))]
    const ids = told.map(({ id }) => id)
    wrong.push(...differ(`what arrived at ${name} is not the events`, arrived, ids))
    const refused = heard.length - known.length
    const bySecret = secrets.map((from, part) => (secrets[part + 1] ?? heard.length) - from)
    if (bySecret.includes(0)) wrong.push(`${name} had a secret that it never needed`)
    if (refused > 0) wrong.push(`${name} refused ${refused} messages`)
    wrong.push(...changed(name, heard, digests))
    return { name, events: arrived.length, attempts: heard.length, bySecret, refused }
  })
  return { events: told.length, got, wrong }
}

/** Every attempt of a message has the bytes that the first had, at whatever receiver. */
function changed(name: string, heard: readonly Heard[], digests: Map<string, string>): string[] {
  return heard.flatMap(({ id, digest }) => {
    const first = digests.get(id) ?? digest
    digests.set(id, first)
    return first === digest ? [] : [`${id} came to ${name} with other bytes than before`]
  })
}

function differ(what: string, found: readonly string[], due: readonly string[]): string[] {
  const [have, want] = [new Set(found), new Set(due)]
  const missing = due.filter((one) => !have.has(one)).length
  const extra = found.filter((one) => !want.has(one)).length
  const twice = found.length - have.size
  if (missing + extra + twice === 0) return []
  return [`${what}: ${missing} missing, ${extra} too many, ${twice} twice`]
}

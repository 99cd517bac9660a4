import { messageNumber } from '../../src/domain/event.ts'
import { DELIVERY_POINTS } from './crash-points.ts'
import { send } from './load.ts'
import type { Scenario, Stage } from './scenario.ts'
import type { Stack } from './stack.ts'
import { check, type Check } from './witnesses.ts'
import { openReceivers, TAKEN, type Receiver } from './webhook-receivers.ts'

const WORKERS = 4
/** How often a worker dies at each point. */
const TIMES = 1
const KILLS_MS_MAX = 180_000
/**
 * The lease of a delivery is 45 s, and its second attempt is made after five more; the rest is for
 * a machine that does much else.
 */
const ARRIVE_MS_MAX = 270_000
/** What is in the buffers between two processes when one of them stops reading. */
const BUFFERED_MAX = 16 * 2 ** 20

const TYPES = ['payment.*', 'dead_letter.*']

/** Workers die at each step of a delivery, and most receivers are bad in some way. */
export const WEBHOOK_KILLS: Scenario = {
  name: 'webhook-kills',
  title: 'SIGKILL at each step of a delivery, to receivers of which most are ill',
  lane: 0,
  perSecond: 20,
  needs: Object.fromEntries(DELIVERY_POINTS.map((point) => [`killed at ${point}`, 1])),
  stack(_, random) {
    const points = Array.from({ length: TIMES }, () => DELIVERY_POINTS).flat()
    return {
      apis: 1,
      workers: WORKERS,
      gatewayFaults: { decline: 0.2 },
      arm(name) {
        // The first worker stays healthy.
        if (!name.startsWith('worker') || name.endsWith(' 1')) return null
        const point = points.shift()
        return point === undefined ? null : `${point}:${1 + Math.floor(random() * 4)}`
      },
    }
  },
  async run(stage) {
    const { stack, until, count, expect } = stage
    const receivers = await openReceivers()
    try {
      const endpoints = await subscribe(stack, receivers)
      const fromAt = await time(stack)
      const died = () => DELIVERY_POINTS.every((point) => count(`killed at ${point}`) >= TIMES)
      await until(KILLS_MS_MAX, died)
      const named = (name: string) => receivers.find((one) => one.name === name) as Receiver
      await replayGone(stage, named('gone'), endpoints.get('gone') ?? 0)
      const toAt = await time(stack)
      // Everything has its place in the list by then.
      await until(ARRIVE_MS_MAX, async () => (await unplaced(stack, toAt)) === 0)
      const told = await toldBetween(stack, fromAt, toAt)
      await until(ARRIVE_MS_MAX, () => missed(receivers, told).length === 0)
      for (const one of witnesses(receivers, told)) expect(one)
    } finally {
      for (const receiver of receivers) receiver.close()
    }
  },
}

/** Make an endpoint for each receiver but the trap. Returns their ids by name. */
async function subscribe({ apis }: Stack, receivers: readonly Receiver[]) {
  const made = new Map<string, number>()
  for (const { name, url } of receivers) {
    if (name === 'trap') continue
    const body = { url, types: TYPES, ordered: name === 'ordered' }
    const { id } = await ask(`${apis[0]?.url}/api/v1/webhook-endpoints`, body)
    made.set(name, Number(id))
  }
  return made
}

/** The endpoint that was gone is back, and is sent what it missed. */
async function replayGone(
  { stack, until, expect }: Stage,
  receiver: Receiver,
  id: number,
): Promise<void> {
  const url = `${stack.apis[0]?.url}/api/v1/webhook-endpoints/${id}`
  const state = async () => {
    const [row] = await stack.query<{ state: string }>(
      `select state from webhook_endpoints where id = ${id}`,
    )
    return row?.state
  }
  const disabled = await until(KILLS_MS_MAX, async () => (await state()) === 'disabled')
  receiver.answer = TAKEN
  // What happens meanwhile is missed as well.
  await stack.command('webhooks', 'enable', String(id))
  const plan = await ask(`${url}/replays`, { filter: { only: 'undelivered' }, dry_run: true })
  const started = await ask(`${url}/replays`, {
    snapshot: plan['snapshot'],
    reason: 'It is back',
    rate_per_second: 500,
  })
  let last: Record<string, unknown> = {}
  await until(ARRIVE_MS_MAX, async () => {
    last = await ask(`${url}/replays/${String(started['id'])}`, null)
    return last['state'] === 'done' && last['pending'] === 0
  })
  const found = [
    ...(disabled ? [] : ['410 did not disable it']),
    ...(Number(plan['count']) > 0 ? [] : ['it missed nothing']),
    ...(last['delivered'] === plan['count'] ? [] : [`${String(last['delivered'])} arrived`]),
  ]
  const name = 'A replay delivers as many events as its dry run counted'
  expect(check(name, found, `${String(plan['count'])} events of an endpoint that was disabled`))
}

/** Send JSON, or ask for it; what was answered. */
async function ask(url: string, body: object | null): Promise<Record<string, unknown>> {
  return JSON.parse((await send(url, body, null)).text) as Record<string, unknown>
}

/** The time of the database, by which events are stamped. */
async function time({ query }: Stack): Promise<string> {
  const [row] = await query<{ time: string }>('select clock_timestamp()::text as time')
  return row?.time ?? ''
}

interface Told {
  readonly id: number
  readonly payment: number
  readonly position: number
}

/** Events of before a time that are not on their way yet. */
async function unplaced({ query }: Stack, before: string): Promise<number> {
  const [row] = await query<{ count: number }>(
    `select count(*)::int as count from events
     where position is null and created_at < '${before}'`,
  )
  return row?.count ?? 0
}

function toldBetween({ query }: Stack, fromAt: string, toAt: string): Promise<Told[]> {
  return query<Told>(
    `select id::int, payment_id::int as payment, position::int from events
     where created_at between '${fromAt}' and '${toAt}'
     order by position`,
  )
}

/** What has not arrived at those that take what they are sent. */
function missed(receivers: readonly Receiver[], told: readonly Told[]): string[] {
  return receivers
    .filter(({ good }) => good)
    .flatMap(({ name, got }) => {
      const seen = new Set(got.map(({ id }) => Number(messageNumber(id))))
      return told.filter(({ id }) => !seen.has(id)).map(({ id }) => `${name} missed event ${id}`)
    })
}

/** What the receivers say of what they got. */
function witnesses(receivers: readonly Receiver[], told: readonly Told[]): Check[] {
  const good = receivers.filter((one) => one.good)
  const missing = missed(receivers, told)
  const twice = good.reduce((sum, { got }) => sum + got.length - new Set(got.map(idOf)).size, 0)
  const hashes = new Map<string, Set<string>>()
  for (const { id, hash } of receivers.flatMap(({ got }) => got)) {
    hashes.set(id, (hashes.get(id) ?? new Set()).add(hash))
  }
  const changed = [...hashes].filter(([, own]) => own.size > 1).map(([id]) => id)
  const named = (name: string) => receivers.find((one) => one.name === name) as Receiver
  const { got: trapped } = named('trap')
  const { written, got } = named('endless')
  const most = Math.round(written / Math.max(1, got.length) / 1_024)
  return [
    check(
      'Every event arrived at each receiver that takes what it is sent',
      missing,
      `${told.length} events at ${good.length} receivers, ${twice} twice`,
    ),
    check('Every attempt had the same bytes', changed, `${hashes.size} events`),
    check(
      'An ordered endpoint got the events of each payment in order',
      disorder(named('ordered'), told),
      'all',
    ),
    check('Redirects were not followed', trapped.map(idOf), 'none'),
    check(
      'Nobody reads a reply of a gibibyte',
      written / Math.max(1, got.length) > BUFFERED_MAX ? [`${most} KiB each`] : [],
      `${most} KiB each were taken into buffers`,
    ),
  ]
}

function idOf({ id }: { readonly id: string }): string {
  return id
}

/** Events that came first before an earlier one of their payment. */
function disorder({ got }: Receiver, told: readonly Told[]): string[] {
  const places = new Map(told.map((one) => [one.id, one]))
  const newest = new Map<number, number>()
  const seen = new Set<string>()
  const wrong: string[] = []
  for (const { id } of got) {
    const own = places.get(Number(messageNumber(id)))
    if (own === undefined || seen.has(id)) continue
    seen.add(id)
    if (own.position < (newest.get(own.payment) ?? 0)) wrong.push(`${id} of ${own.payment}`)
    newest.set(own.payment, Math.max(own.position, newest.get(own.payment) ?? 0))
  }
  return wrong
}

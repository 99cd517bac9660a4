import { seededRandom } from '../../src/domain/random.ts'
import { changed, problemsOf } from '../hostile/case.ts'
import { fill, operationsOf, type Operation } from '../hostile/document.ts'
import { SOCKET_CASES } from '../hostile/sockets.ts'
import type { Target } from '../hostile/target.ts'
import { ANSWER_MS_MAX, open, raw, type Connection, type Received } from '../hostile/wire.ts'
import { oracle, shown, type Finding, type Oracle } from './oracle.ts'
import { pick, plan, type Cursors, type Plan, type Random } from './plan.ts'
import { tell } from './sequences.ts'

/** What the fuzzer needs of a service. */
export type FuzzTarget = Pick<Target, 'port' | 'json' | 'rows' | 'quiet'>

export interface FuzzOptions {
  readonly seed: number
  readonly requests: number
  /** Stories of one client, and raw bytes: only the real service knows them. */
  readonly stories: boolean
  readonly onProgress?: (requests: number, findings: number) => void
}

export interface FuzzReport {
  readonly seed: number
  readonly requests: number
  readonly seconds: number
  readonly statuses: Readonly<Record<string, number>>
  readonly operations: number
  readonly stories: number
  /** The slowest answer, in milliseconds. */
  readonly slowestMs: number
  /** The first of each fault and operation. */
  readonly findings: readonly Finding[]
  readonly findingsCount: number
}

/** Requests between two counts of all rows. */
const GROUP = 200
const CONNECTIONS = 6
/** A story in every group, and this many raw cases. */
const STORIES_PER_GROUP = 2
const SOCKETS_PER_GROUP = 4
const FINDINGS_SHOWN_MAX = 200

/** They change how the gateway behaves, not what the service does with a request. */
const FAULTS = /\/mock-gateway\/(faults|reset)$/

interface Run {
  readonly target: FuzzTarget
  readonly random: Random
  readonly oracle: Oracle
  readonly connections: readonly Connection[]
  readonly cursors: Cursors
  readonly statuses: Map<string, number>
  readonly findings: Map<string, Finding>
  requests: number
  stories: number
  findingsCount: number
  slowestMs: number
}

/**
 * Send `requests` requests made from the service's own document, most of them changed in one place
 * or two, and judge every answer. The same seed makes the same requests.
 */
export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzReport> {
  const startedMs = performance.now()
  const operations = await operationsOf(target)
  const run: Run = {
    target,
    random: seededRandom(options.seed),
    oracle: oracle(),
    connections: Array.from({ length: CONNECTIONS }, () => open(target.port)),
    cursors: await cursorsOf(target, operations),
    statuses: new Map(),
    findings: new Map(),
    requests: 0,
    stories: 0,
    findingsCount: 0,
    slowestMs: 0,
  }
  const faults = operations.filter(({ path }) => FAULTS.test(path))
  const others = operations.filter(({ path }) => !FAULTS.test(path))
  while (run.requests < options.requests) {
    await group(run, others)
    if (options.stories) await storiesAndSockets(run)
    options.onProgress?.(run.requests, run.findingsCount)
  }
  if (faults.length > 0) await group(run, faults)
  for (const connection of run.connections) connection.close()
  return {
    seed: options.seed,
    requests: run.requests,
    seconds: Math.round((performance.now() - startedMs) / 100) / 10,
    statuses: Object.fromEntries([...run.statuses].toSorted()),
    operations: operations.length,
    stories: run.stories,
    slowestMs: Math.round(run.slowestMs),
    findings: [...run.findings.values()].slice(0, FINDINGS_SHOWN_MAX),
    findingsCount: run.findingsCount,
  }
}

/** A cursor of every list that has a second page. */
async function cursorsOf(target: FuzzTarget, operations: readonly Operation[]): Promise<Cursors> {
  const cursors = new Map<string, string>()
  for (const { path, parameters } of operations) {
    if (!parameters.some(({ name }) => name === 'cursor')) continue
    const page = await target.json('GET', `${fill(path, '1')}?limit=1`)
    const { next_cursor: next } = page as { readonly next_cursor?: string | null }
    if (typeof next === 'string') cursors.set(path, next)
  }
  return cursors
}

/** One group: send it, then send what was refused again and see that it changes no row. */
async function group(run: Run, operations: readonly Operation[]): Promise<void> {
  // What takes a body has most to read wrongly.
  const weighted = operations.flatMap((one) => (one.body === null ? [one] : [one, one, one]))
  const plans = Array.from({ length: GROUP }, () => {
    const chance = run.random()
    const changes = chance < 0.15 ? 0 : chance < 0.75 ? 1 : 2
    return plan(pick(run.random, weighted), changes, run.random, run.cursors)
  })
  const answers = await sendAll(run, plans)
  const refused = plans.filter((_, index) => isRefusal(answers[index] ?? null))
  await run.target.quiet()
  const before = await run.target.rows()
  const again = await sendAll(run, refused)
  // What is refused for now may be accepted later; whatever was accepted may have changed rows.
  const accepted = again.some((answer) => !isRefusal(answer))
  const grown = changed(before, await run.target.rows())
  if (grown.length > 0) await blame(run, refused, accepted ? [] : grown)
}

function isRefusal(answer: Received | null): boolean {
  return answer !== null && answer.status >= 400 && answer.status < 500
}

/** Find the refused requests that change rows, by sending each of them alone. */
async function blame(run: Run, refused: readonly Plan[], grown: readonly string[]): Promise<void> {
  const known = run.findingsCount
  for (const one of refused) {
    await run.target.quiet()
    const before = await run.target.rows()
    const [answer = null] = await sendAll(run, [one])
    if (!isRefusal(answer)) continue
    await run.target.quiet()
    const what = changed(before, await run.target.rows())
    if (what.length > 0) note(run, one, [finding('rows_changed', what.join('; '), shown(one))])
  }
  if (run.findingsCount > known || grown.length === 0) return
  note(run, null, [finding('rows_changed', grown.join('; '), 'one of a group, not repeatable')])
}

function finding(fault: Finding['fault'], what: string, request: string): Finding {
  return { fault, what, request }
}

/** Send on several connections; the answers in the order of the plans. */
async function sendAll(run: Run, plans: readonly Plan[]): Promise<(Received | null)[]> {
  const answers: (Received | null)[] = plans.map(() => null)
  let next = 0
  const lane = async (connection: Connection): Promise<void> => {
    while (next < plans.length) {
      const index = next
      next += 1
      const one = plans[index]
      if (one === undefined) return
      const startedMs = performance.now()
      // A connection that was kept may be closed just as it is used: ask again on a new one.
      let answer = await connection.ask(one.request)
      const tookMs = performance.now() - startedMs
      if (answer === null && tookMs < ANSWER_MS_MAX) answer = await connection.ask(one.request)
      run.slowestMs = Math.max(run.slowestMs, tookMs)
      count(run, answer)
      note(run, one, run.oracle.judge(one, answer))
      answers[index] = answer
    }
  }
  await Promise.all(run.connections.map(lane))
  return answers
}

function count(run: Run, answer: Received | null): void {
  run.requests += 1
  const status = String(answer?.status ?? 'none')
  run.statuses.set(status, (run.statuses.get(status) ?? 0) + 1)
}

function note(run: Run, one: Plan | null, findings: readonly Finding[]): void {
  for (const found of findings) {
    run.findingsCount += 1
    const { method = '', path = '' } = one?.operation ?? {}
    const key = `${found.fault} ${method} ${path} ${found.what.slice(0, 60)}`
    if (!run.findings.has(key)) run.findings.set(key, found)
  }
}

async function storiesAndSockets(run: Run): Promise<void> {
  for (let index = 0; index < STORIES_PER_GROUP; index += 1) {
    const connection = pick(run.random, run.connections)
    const broken = await tell(connection, run.random, (answer) => count(run, answer))
    run.stories += 1
    note(
      run,
      null,
      broken.map((what) => finding('sequence_broken', what, 'a story')),
    )
  }
  for (let index = 0; index < SOCKETS_PER_GROUP; index += 1) {
    const { name, bytes, status } = pick(run.random, SOCKET_CASES)
    const { answer } = await raw(run.target.port, bytes)
    count(run, answer)
    const wrong = answer === null ? ['no answer'] : problemsOf(answer)
    if (answer !== null && answer.status !== status) wrong.push(`${answer.status}, not ${status}`)
    note(
      run,
      null,
      wrong.map((what) => finding('not_a_problem', what, name)),
    )
  }
}

import { setTimeout as wait } from 'node:timers/promises'
import { seededRandom } from '../../src/domain/random.ts'
import { definite, startLoad, type Entry, type Load } from './load.ts'
import type { Death } from './processes.ts'
import { startStack, type Server, type Stack, type StackOptions } from './stack.ts'
import { testify, type Check } from './witnesses.ts'

/** A fault or a recovery as it is drawn into the timeline. */
export interface Event {
  readonly atMs: number
  readonly kind: 'fault' | 'kill' | 'healed'
  readonly label: string
}

/** What a scenario works with while it runs. */
export interface Stage {
  readonly stack: Stack
  readonly random: () => number
  /** How many SIGKILLs a scenario of kills is to deliver. */
  readonly kills: number
  /** How many operations a scenario of operations is to ask for. */
  readonly operations: number
  /** Whether outages last as long as they do in service, where a scenario has such a form. */
  readonly long: boolean
  /** The program that is shaken. */
  readonly program: string
  readonly folder: string
  /** Count a fault that was done, and draw it. */
  fired(fault: string, label?: string): void
  /** Count faults without drawing them. */
  add(fault: string, times: number): void
  count(fault: string): number
  /** Wait until all faults that the scenario needs were done: less comes by on a busy machine. */
  enough(): Promise<boolean>
  healed(label: string): void
  /** How many answers of a status the clients have had so far; 0: none came. */
  answered(status: number): number
  /** What the load has asked for so far. */
  journal(): readonly Entry[]
  /** A check of the scenario's own, beside those of the witnesses. */
  expect(check: Check): void
  /** Payments that were asked for outside of the load. */
  readonly asked: Entry[]
  readonly wait: (ms: number) => Promise<unknown>
  /** Look until it is so, at most this long. Returns whether it came to be. */
  until(msMax: number, so: () => boolean | Promise<boolean>): Promise<boolean>
}

export interface Scenario {
  readonly name: string
  /** What is done. */
  readonly title: string
  /**
   * Scenarios of a lane run one after the other, on one database server. `alone`: after both lanes,
   * because what it times would be the neighbour's doing.
   */
  readonly lane: 0 | 1 | 'alone'
  readonly stack: (kills: number, random: () => number) => StackOptions
  /** Payments asked for per second beside the faults; 0: none. */
  readonly perSecond: number
  /** Faults that must have been done, at least so often. */
  readonly needs: Readonly<Record<string, number>>
  /**
   * Whether tasks of dead workers must be taken up soon: a healthy worker was there all the time.
   */
  readonly orphans?: boolean
  /** Brings its own database server. */
  readonly server?: (folder: string) => Promise<Server & { close(): Promise<void> }>
  run(stage: Stage): Promise<void>
}

export interface Result {
  readonly name: string
  readonly title: string
  readonly ok: boolean
  readonly skipped: string | null
  readonly tookMs: number
  /** Every fault that was done, and how often. */
  readonly fired: Readonly<Record<string, number>>
  readonly checks: readonly Check[]
  readonly events: readonly Event[]
  readonly answers: readonly { readonly atMs: number; readonly status: number }[]
  readonly payments: number
}

/** Thrown by a scenario that this machine cannot run; the text says why. */
export class Skipped extends Error {
  override readonly name = 'Skipped'
}

/** After this long a scenario hangs. It takes a tenth of that where nothing else is done. */
const SCENARIO_MS_MAX = 900_000
/** What each operation of a scenario that counts them adds to that. */
const OPERATION_MS_MAX = 150
const CLIENTS = 12
const USERS = 40

export interface RunOptions {
  readonly program: string
  readonly folder: string
  readonly seed: number
  readonly kills: number
  readonly operations: number
  readonly long: boolean
}

/** Run a scenario: start everything, shake it, turn the faults off, and ask the witnesses. */
export async function runScenario(
  scenario: Scenario,
  shared: () => Promise<Server>,
  options: RunOptions,
): Promise<Result> {
  const startedMs = performance.now()
  const record = emptyRecord(startedMs)
  const random = seededRandom(options.seed ^ hash(scenario.name))
  const clean: (() => Promise<unknown>)[] = []
  let skipped: string | null = null
  const work = async (): Promise<void> => {
    const own = await scenario.server?.(options.folder)
    if (own !== undefined) clean.push(() => own.close())
    const server = own ?? (await shared())
    await shake(scenario, { ...options, server, random, clean }, record)
  }
  const over = new AbortController()
  const msMax = SCENARIO_MS_MAX + options.operations * OPERATION_MS_MAX
  const tooLong = wait(msMax, undefined, { signal: over.signal, ref: false }).then(() => {
    throw new Error(`it was not over after ${msMax / 1_000} s`)
  })
  try {
    tooLong.catch(() => undefined)
    await Promise.race([work(), tooLong])
  } catch (error) {
    if (error instanceof Skipped) skipped = error.message
    else record.checks.push({ name: 'The scenario runs', ok: false, detail: describe(error) })
  } finally {
    over.abort()
    record.over = true
    for (const step of clean.toReversed()) await step().catch(() => undefined)
  }
  if (skipped === null) record.checks.push(...unmet(scenario, record.counts))
  const { checks, events, counts, journal } = record
  const answers = journal.flatMap((entry) =>
    entry.answers.map(({ atMs, status }) => ({ atMs: atMs - startedMs, status })),
  )
  return {
    name: scenario.name,
    title: scenario.title,
    ok: skipped !== null || checks.every(({ ok }) => ok),
    skipped,
    tookMs: performance.now() - startedMs,
    fired: Object.fromEntries(counts),
    checks,
    events,
    answers,
    payments: journal.filter((entry) => definite(entry)?.status === 202).length,
  }
}

/** What a scenario leaves behind, in whatever order it comes. */
interface Traces {
  readonly startedMs: number
  readonly checks: Check[]
  readonly events: Event[]
  readonly counts: Map<string, number>
  journal: Entry[]
  /** What dies from now on is being cleared away. */
  over: boolean
}

function emptyRecord(startedMs: number): Traces {
  return { startedMs, checks: [], events: [], counts: new Map(), journal: [], over: false }
}

interface Shaking extends RunOptions {
  readonly server: Server
  readonly random: () => number
  /** What is to be cleared away, last first. */
  readonly clean: (() => Promise<unknown>)[]
}

async function shake(scenario: Scenario, options: Shaking, record: Traces): Promise<void> {
  const { server, random, clean } = options
  const { startedMs, counts, events } = record
  const mark = (kind: Event['kind'], label: string) =>
    events.push({ atMs: performance.now() - startedMs, kind, label })
  const fired = (fault: string) => counts.set(fault, (counts.get(fault) ?? 0) + 1)
  const onDeath = ({ name, crashPoint, signal }: Death): void => {
    if (signal !== 'SIGKILL' || record.over) return
    fired('SIGKILLs of processes')
    if (crashPoint !== null) fired(`killed at ${crashPoint}`)
    mark('kill', crashPoint === null ? `SIGKILL ${name}` : `${name}: ${crashPoint}`)
  }
  const name = `faults_${scenario.name.replaceAll(/\W/g, '_')}`
  const at = { program: options.program, folder: options.folder, name }
  const wants = scenario.stack(options.kills, random)
  const stack = await startStack(server, at, wants, { random, onDeath })
  clean.push(stack.stop)
  await stack.begin()
  mark('healed', 'started')
  const load = await beginLoad(scenario, stack, random, record)
  const asked: Entry[] = []
  const stage: Stage = {
    stack,
    random,
    kills: options.kills,
    operations: options.operations,
    long: options.long,
    program: options.program,
    folder: options.folder,
    asked,
    fired(fault, label) {
      fired(fault)
      mark('fault', label ?? fault)
    },
    add: (fault, times) => void counts.set(fault, (counts.get(fault) ?? 0) + times),
    answered: (wanted) =>
      record.journal.reduce(
        (sum, { answers }) => sum + answers.filter(({ status }) => status === wanted).length,
        0,
      ),
    count: (fault) => counts.get(fault) ?? firedAt(stack, fault),
    enough: () => until(ENOUGH_MS_MAX, () => isEnough(scenario, stage)),
    healed: (label) => void mark('healed', label),
    journal: () => record.journal,
    expect: (check) => void record.checks.push(check),
    wait,
    until,
  }
  const probe = scenario.orphans === true ? probeMachine(stack) : null
  if (probe !== null) clean.push(probe)
  await scenario.run(stage)

  stack.database.turn({})
  stack.gateway.turn({})
  mark('healed', 'faults off')
  await load?.stop()
  mark('healed', 'load stopped')
  record.journal = [...(load?.journal ?? []), ...asked]
  await stack.ready()
  mark('healed', 'all listen')
  const slowestMs = (await probe?.()) ?? null
  const checks = await testify(stack, record.journal, { slowestMs })
  mark('healed', 'witnesses heard')
  record.checks.push(...checks)
  countProxies(stack, counts)
}

function countProxies({ database, gateway }: Stack, counts: Map<string, number>): void {
  for (const [link, proxy] of Object.entries({ database, gateway })) {
    for (const [fault, times] of proxy.fired) counts.set(`${link}: ${fault}`, times)
  }
}

const ENOUGH_MS_MAX = 120_000

function isEnough({ needs }: Scenario, { count }: Stage): boolean {
  return Object.entries(needs).every(([fault, least]) => count(fault) >= least)
}

/** How often a proxy did a fault, which may name the link that it is on. */
function firedAt({ database, gateway }: Stack, fault: string): number {
  const [link, name] = fault.split(': ')
  const own = (link === 'gateway' ? gateway : database).fired
  return own.get(name ?? fault) ?? 0
}

const PROBE_MS = 200

/**
 * Look at the database again and again, until told to stop; returns how long the slowest look took,
 * in milliseconds. What a machine that does much else needs for that, a worker needs as well.
 */
function probeMachine({ query }: Stack): () => Promise<number> {
  const state = { over: false, slowestMs: 0 }
  const looking = (async () => {
    while (!state.over) {
      const startedMs = performance.now()
      await query('select 1')
      state.slowestMs = Math.max(state.slowestMs, performance.now() - startedMs)
      await wait(PROBE_MS)
    }
  })()
  looking.catch(() => undefined)
  return async () => {
    state.over = true
    await looking
    return state.slowestMs
  }
}

async function beginLoad(
  scenario: Scenario,
  stack: Stack,
  random: () => number,
  record: Traces,
): Promise<Load | null> {
  if (scenario.perSecond === 0) return null
  const load = await startLoad({
    apis: stack.apis.map(({ url }) => url),
    clients: CLIENTS,
    perSecond: scenario.perSecond,
    users: USERS,
    random,
  })
  // Even if the scenario fails, its timeline shows what was answered.
  record.journal = load.journal
  return load
}

async function until(msMax: number, so: () => boolean | Promise<boolean>): Promise<boolean> {
  const untilMs = performance.now() + msMax
  while (performance.now() < untilMs) {
    if (await so()) return true
    await wait(20)
  }
  return false
}

/** A fault that was never done proves nothing. */
function unmet(scenario: Scenario, counts: ReadonlyMap<string, number>): Check[] {
  return Object.entries(scenario.needs).map(([fault, least]) => {
    const times = counts.get(fault) ?? 0
    return {
      name: `The fault was done: ${fault}`,
      ok: times >= least,
      detail: `${times} times, at least ${least}`,
      chance: true,
    }
  })
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

function hash(text: string): number {
  let value = 7
  for (const letter of text) value = (Math.imul(value, 31) + letter.charCodeAt(0)) | 0
  return value >>> 0
}

import { openConnection, type Connection } from './connection.ts'
import { histogram, type Histogram } from './histogram.ts'
import type { Latency, LoadResult, Plan } from './plan.ts'
import { requests, type Requests } from './traffic.ts'

/** How long answers may still take when no more requests are sent, in milliseconds. */
const LAST_ANSWERS_MS = 15_000
const CONNECT_MS_MAX = 10_000
/** A broken connection is opened again after this, in milliseconds. */
const REOPEN_MS = 50

/** A connection and the request on its way. */
interface Line {
  connection: Connection
  /** When the request was due and when it was sent; NaN while none is on its way. */
  dueMs: number
  open: boolean
}

/** What all parts of a run share. Times are of the monotonic clock. */
interface Run {
  readonly plan: Plan
  readonly request: Requests
  readonly latency: Histogram
  readonly late: Histogram
  readonly statuses: Map<number, number>
  readonly seconds: number[]
  /** Open lines without a request. */
  readonly idle: Line[]
  readonly lines: Line[]
  readonly startMs: number
  readonly endMs: number
  done: number
  faults: number
  pending: number
  /** Told of a line that has its answer. */
  free: (line: Line) => void
}

/** Carry out a plan in this process. `onDone` is told now and then how much was done since. */
export async function generate(
  plan: Plan,
  onDone: (count: number) => void = () => undefined,
): Promise<LoadResult> {
  const lines = await openLines(plan)
  const startMs = performance.now() + plan.warmupMs
  const run: Run = {
    plan,
    request: requests(plan),
    latency: histogram(),
    late: histogram(),
    statuses: new Map(),
    seconds: [],
    idle: [...lines.lines],
    lines: lines.lines,
    startMs,
    endMs: startMs + plan.durationMs,
    done: 0,
    faults: 0,
    pending: 0,
    free: () => undefined,
  }
  lines.attach(run)
  let told = 0
  const teller = setInterval(() => {
    onDone(run.done - told)
    told = run.done
  }, 200)
  const cpu = process.cpuUsage()
  const wallMs = performance.now()
  if (plan.ratePerSecond === 'closed') await closedLoop(run)
  else await openLoop(run, plan.ratePerSecond)
  const used = process.cpuUsage(cpu)
  const usedShare = (used.user + used.system) / 1_000 / (performance.now() - wallMs)
  await lastAnswers(run)
  clearInterval(teller)
  for (const line of run.lines) line.connection.close()
  return resultOf(run, usedShare)
}

/** Open every connection before anything is sent, so that no run measures the opening. */
async function openLines(plan: Plan): Promise<{ lines: Line[]; attach: (run: Run) => void }> {
  const attached: { run?: Run } = {}
  const opened: Promise<void>[] = []
  const lines = Array.from({ length: plan.connections }, () => {
    const line = { dueMs: Number.NaN, open: false } as Line
    opened.push(
      new Promise((resolve, reject) => {
        open(plan, line, attached, { onOpen: resolve, onRefused: reject })
      }),
    )
    return line
  })
  const limit = new Promise<never>((_, reject) => {
    const error = new Error(`${plan.host}:${plan.port} takes no ${plan.connections} connections`)
    setTimeout(reject, CONNECT_MS_MAX, error).unref()
  })
  await Promise.race([Promise.all(opened), limit])
  return { lines, attach: (run) => (attached.run = run) }
}

function open(
  plan: Plan,
  line: Line,
  attached: { readonly run?: Run },
  told: { readonly onOpen: () => void; readonly onRefused: (error: Error) => void },
): void {
  const to = { host: plan.host, port: plan.port, bodies: plan.traffic.kind === 'bulk' }
  line.connection = openConnection(to, {
    onOpen() {
      line.open = true
      told.onOpen()
    },
    onResponse(status, body) {
      if (attached.run !== undefined) answered(attached.run, line, status, body)
    },
    onFault(error) {
      const { run } = attached
      if (run === undefined) return told.onRefused(error)
      broke(run, line)
      setTimeout(() => {
        open(plan, line, attached, {
          onOpen: () => run.free(line),
          onRefused: () => undefined,
        })
      }, REOPEN_MS).unref()
    },
  })
}

function answered(run: Run, line: Line, status: number, body: Buffer | null): void {
  const nowMs = performance.now()
  const { dueMs } = line
  line.dueMs = Number.NaN
  run.pending -= 1
  // Closed: what ended in the measured time. Open: what was due in it, however late it ends.
  const at = run.plan.ratePerSecond === 'closed' ? nowMs : dueMs
  if (at >= run.startMs && at < run.endMs) {
    run.latency.record(nowMs - dueMs)
    run.statuses.set(status, (run.statuses.get(status) ?? 0) + 1)
    const done = doneBy(status, body)
    const second = Math.floor((at - run.startMs) / 1_000)
    run.seconds[second] = (run.seconds[second] ?? 0) + done
    run.done += done
  }
  run.free(line)
}

/** One payment for each request; of a batch, its accepted items. */
function doneBy(status: number, body: Buffer | null): number {
  if (status < 200 || status > 299) return 0
  if (body === null) return 1
  return body.toString('latin1').split('"status":202').length - 1
}

function broke(run: Run, line: Line): void {
  line.open = false
  run.faults += 1
  if (!Number.isNaN(line.dueMs)) run.pending -= 1
  line.dueMs = Number.NaN
  const index = run.idle.indexOf(line)
  if (index >= 0) run.idle.splice(index, 1)
}

function send(run: Run, line: Line, dueMs: number): void {
  line.dueMs = dueMs
  run.pending += 1
  line.connection.send(run.request())
}

function closedLoop(run: Run): Promise<void> {
  const next = (line: Line): void => {
    const nowMs = performance.now()
    if (nowMs < run.endMs) send(run, line, nowMs)
  }
  run.free = next
  for (const line of run.idle.splice(0)) next(line)
  return untilMs(run.endMs)
}

/**
 * Requests fall due on a grid of milliseconds, the finest a timer has, and are sent on the first
 * free connection. What finds none waits in order of its due time, and its latency includes the
 * wait.
 */
async function openLoop(run: Run, ratePerSecond: number): Promise<void> {
  const beginMs = Math.ceil(performance.now())
  const waiting: number[] = []
  let sent = 0
  run.free = (line) => {
    const dueMs = waiting.shift()
    if (dueMs === undefined) run.idle.push(line)
    else dispatch(run, line, dueMs)
  }
  const due = (): void => {
    const nowMs = Math.min(performance.now(), run.endMs)
    for (; sent < ((nowMs - beginMs) / 1_000) * ratePerSecond; sent += 1) {
      const dueMs = beginMs + Math.ceil((sent / ratePerSecond) * 1_000)
      if (dueMs > nowMs) break
      const line = run.idle.pop()
      if (line === undefined) waiting.push(dueMs)
      else dispatch(run, line, dueMs)
    }
  }
  while (performance.now() < run.endMs) {
    due()
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  due()
}

function dispatch(run: Run, line: Line, dueMs: number): void {
  if (dueMs >= run.startMs) run.late.record(performance.now() - dueMs)
  send(run, line, dueMs)
}

async function untilMs(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, ms - performance.now())))
}

/** Requests that are never answered count with the time they were waited for. */
async function lastAnswers(run: Run): Promise<void> {
  const until = performance.now() + LAST_ANSWERS_MS
  while (run.pending > 0 && performance.now() < until) await untilMs(performance.now() + 5)
  if (run.plan.ratePerSecond === 'closed') return
  for (const { dueMs } of run.lines) {
    if (Number.isNaN(dueMs) || dueMs < run.startMs) continue
    run.latency.record(performance.now() - dueMs)
    run.faults += 1
  }
}

function resultOf(run: Run, cpu: number): LoadResult {
  const statuses = Object.fromEntries([...run.statuses].map(([status, count]) => [status, count]))
  return {
    done: run.done,
    perSecond: run.done / (run.plan.durationMs / 1_000),
    statuses,
    faults: run.faults,
    latency: latencyOf(run.latency),
    buckets: run.latency.buckets(),
    seconds: Array.from(run.seconds, (count) => count ?? 0),
    lateMs: run.late.quantile(0.99),
    cpu,
  }
}

function latencyOf(of: Histogram): Latency {
  return {
    mean: of.mean(),
    p50: of.quantile(0.5),
    p90: of.quantile(0.9),
    p99: of.quantile(0.99),
    p999: of.quantile(0.999),
    max: of.max(),
  }
}

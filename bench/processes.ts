import * as fs from 'node:fs'

/** Seconds of processor time by name, of processes and all their children. Empty outside Linux. */
export type CpuTimes = Readonly<Record<string, number>>

const TICKS_PER_SECOND = 100

/** Everything the machine did, under this name; `coresUsed` turns it into what others did. */
const ALL = 'others'

/** Read how much processor time processes have used so far. */
export function cpuTimes(pids: Readonly<Record<string, number | null>>): CpuTimes {
  if (process.platform !== 'linux') return {}
  const all = readStats()
  const times: Record<string, number> = {}
  for (const [name, pid] of Object.entries(pids)) {
    if (pid === null) continue
    let ticks = 0
    for (const stat of all) if (stat.pid === pid || stat.parent === pid) ticks += stat.ticks
    times[name] = ticks / TICKS_PER_SECOND
  }
  // user, nice, system, idle, iowait, irq, softirq, steal: all that is neither idle nor waiting.
  const [user = 0, nice = 0, system = 0, , , irq = 0, soft = 0, steal = 0] = fs
    .readFileSync('/proc/stat', 'latin1')
    .replace(/^cpu +/, '')
    .split(/[ \n]/)
    .map(Number)
  times[ALL] = (user + nice + system + irq + soft + steal) / TICKS_PER_SECOND
  return times
}

/**
 * Cores in use between two readings `ms` apart. `others` are all processes that are not named: on a
 * machine that is shared they tell what a figure is worth.
 */
export function coresUsed(before: CpuTimes, after: CpuTimes, ms: number): CpuTimes {
  const used = Object.entries(after).map(([name, seconds]) => {
    return [name, Math.max(0, seconds - (before[name] ?? 0)) / (ms / 1_000)] as const
  })
  const named = used.reduce((sum, [name, cores]) => (name === ALL ? sum : sum + cores), 0)
  return Object.fromEntries(
    used.map(([name, cores]) => [name, name === ALL ? Math.max(0, cores - named) : cores]),
  )
}

interface Stat {
  readonly pid: number
  readonly parent: number
  readonly ticks: number
}

function readStats(): Stat[] {
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // The command may hold spaces; fields are counted from the parenthesis that ends it.
        const text = fs.readFileSync(`/proc/${name}/stat`, 'latin1')
        const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
        const [parent, user, system] = [fields[1], fields[11], fields[12]].map(Number)
        // Children that ended count with their parent.
        const ended = Number(fields[13]) + Number(fields[14])
        const ticks = (user ?? 0) + (system ?? 0) + ended
        return [{ pid: Number(name), parent: parent ?? 0, ticks }]
      } catch {
        // It ended between the listing and the reading.
        return []
      }
    })
}

/** Resident memory in MB; NaN where it cannot be read. */
export function residentMb(pid: number): number {
  try {
    const text = fs.readFileSync(`/proc/${pid}/status`, 'latin1')
    return Number(/VmRSS:\s+(\d+)/.exec(text)?.[1]) / 1_024
  } catch {
    return Number.NaN
  }
}

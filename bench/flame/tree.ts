import { frameOf, type CallFrame, type Frame, type LineOf } from './frame.ts'

/** What `node --cpu-prof` leaves: a tree of calls, and which of them was on top when. */
export interface Profile {
  readonly nodes: readonly ProfileNode[]
  readonly samples: readonly number[]
  /** Microseconds from each sample's predecessor. */
  readonly timeDeltas: readonly number[]
}

interface ProfileNode {
  readonly id: number
  readonly callFrame: CallFrame
  readonly children?: readonly number[]
}

/** A function as called from its parents. Times in microseconds. */
export interface Call {
  readonly frame: Frame
  /** By what tells functions apart. */
  readonly children: Map<string, Call>
  self: number
  total: number
}

/** The calls of a profile, and how long the process had nothing to do. */
export interface Flame {
  readonly root: Call
  readonly idle: number
  readonly samples: number
}

/** Frames between everything and everything else: they say how a function was called, never why. */
const PLUMBING = new Set([
  'processTicksAndRejections',
  'runMicrotasks',
  'runMicrotask',
  'runNextTicks',
  'runInAsyncScope',
  'processImmediate',
  'processTimers',
  'listOnTimeout',
  'emit',
  'callbackTrampoline',
])
const EVENT_LOOP: Frame = { name: 'event loop', module: '', place: 'node:internal', origin: 'node' }
const ALL: Frame = { name: 'all', module: '', place: '', origin: 'native' }

/** Throws when the text is something else than a processor profile. */
export function readProfile(text: string): Profile {
  // Its parts are checked before they are used.
  const profile = JSON.parse(text) as Partial<Profile>
  if (![profile.nodes, profile.samples, profile.timeDeltas].every(Array.isArray)) {
    throw new Error('this is no processor profile')
  }
  return profile as Profile
}

/**
 * Add up a profile: each function once under its caller, waiting left out. Three kinds of frame
 * join their caller's, so that what remains can be read: plumbing, a function that calls itself,
 * and one of Node's modules that calls itself. Pure but for `lineOf`.
 */
export function flameOf(profile: Profile, lineOf: LineOf): Flame {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const selfs = selfTimes(profile)
  const root = call(ALL)
  let idle = 0
  const add = (id: number, caller: Call): void => {
    const node = nodes.get(id)
    if (node === undefined) return
    const self = selfs.get(id) ?? 0
    if (node.callFrame.functionName === '(idle)') {
      idle += self
      return
    }
    const frame = frameOf(node.callFrame, lineOf)
    const hidden = isPlumbing(frame)
    const joins = hidden || isSame(caller.frame, frame)
    const into = joins ? caller : childOf(caller, frame)
    const spent = hidden && caller === root ? childOf(root, EVENT_LOOP) : into
    spent.self += self
    for (const child of node.children ?? []) add(child, into)
  }
  const [first] = profile.nodes
  for (const child of first?.children ?? []) add(child, root)
  addUp(root)
  return { root, idle, samples: profile.samples.length }
}

/** A sample lasts until the next one. A clock that stepped back took no time. */
function selfTimes({ samples, timeDeltas }: Profile): Map<number, number> {
  const selfs = new Map<number, number>()
  samples.forEach((id, index) => {
    selfs.set(id, (selfs.get(id) ?? 0) + Math.max(0, timeDeltas[index + 1] ?? 0))
  })
  return selfs
}

function isPlumbing({ name, origin }: Frame): boolean {
  return PLUMBING.has(name) && (origin === 'node' || origin === 'native')
}

function isSame(caller: Frame, frame: Frame): boolean {
  if (frame.origin === 'node' && caller.origin === 'node') return caller.module === frame.module
  return keyOf(caller) === keyOf(frame)
}

function keyOf({ origin, name, place }: Frame): string {
  return `${origin} ${name} ${place}`
}

function call(frame: Frame): Call {
  return { frame, children: new Map(), self: 0, total: 0 }
}

function childOf(caller: Call, frame: Frame): Call {
  const key = keyOf(frame)
  const child = caller.children.get(key) ?? call(frame)
  caller.children.set(key, child)
  return child
}

function addUp(of: Call): number {
  of.total = of.self
  for (const child of of.children.values()) of.total += addUp(child)
  return of.total
}

/** Whose code a frame is. `native`: V8, libuv and the kernel, garbage collection included. */
export type Origin = 'own' | 'package' | 'node' | 'native'

/** What people are shown of a function, without any path of this machine. */
export interface Frame {
  readonly name: string
  /** Short, to stand beside the name: `payments/accept`, `fastify`, `node:net`; '' for none. */
  readonly module: string
  /** In full, for the tooltip: `src/payments/accept.ts:23`. */
  readonly place: string
  readonly origin: Origin
}

/** A function as V8 writes it into a profile. Lines and columns count from 0. */
export interface CallFrame {
  readonly functionName: string
  readonly scriptId: string
  readonly url: string
  readonly lineNumber: number
  readonly columnNumber: number
}

/** The line, from 1, of a function of our build in its source, or null when it cannot be told. */
export type LineOf = (module: string, call: CallFrame) => number | null

/** V8's own names, as what they mean. */
const META = new Map([
  ['(garbage collector)', 'garbage collection'],
  ['(program)', 'native code outside JavaScript'],
])

/** The last `node_modules` counts: packages have packages of their own. */
const PACKAGE = /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(.+)$/
/** Our build, wherever it was copied, or sources that were run as they are. */
const OWN = /^.*\/(?:dist|src)\/(.+)\.[cm]?[jt]s$/

/** Name a function, and say whose it is. Pure but for `lineOf`. */
export function frameOf(call: CallFrame, lineOf: LineOf): Frame {
  const { functionName, scriptId, url } = call
  const line = call.lineNumber + 1
  if (url === '') return withoutFile(functionName, scriptId)
  if (url.startsWith('node:')) {
    const module = url.replace('node:internal/', 'node:')
    return named(functionName, { module, place: `${url}:${line}`, origin: 'node' }, line)
  }
  const [, name, path] = PACKAGE.exec(url) ?? []
  if (name !== undefined) {
    const place = `${name}/${path}:${line}`
    return named(functionName, { module: name, place, origin: 'package' }, line)
  }
  return ownFrame(call, lineOf)
}

/** Of a file that is not of our build only its name is told: the folders are this machine's. */
function ownFrame(call: CallFrame, lineOf: LineOf): Frame {
  const module = OWN.exec(call.url)?.[1]
  const file = module === undefined ? call.url.replace(/^.*[/\\]/, '') : `src/${module}.ts`
  const line = module === undefined ? call.lineNumber + 1 : lineOf(module, call)
  const place = line === null ? file : `${file}:${line}`
  return named(call.functionName, { module: module ?? file, place, origin: 'own' }, line)
}

function withoutFile(functionName: string, scriptId: string): Frame {
  const meta = META.get(functionName)
  if (meta !== undefined) return { name: meta, module: '', place: '', origin: 'native' }
  if (functionName.startsWith('RegExp:')) {
    return { name: 'regular expression', module: '', place: functionName, origin: 'native' }
  }
  // Validators, serializers and routers write functions at run time, which are in no file.
  if (scriptId !== '0') {
    const name = functionName === '' ? 'anonymous' : functionName
    return { name, module: 'generated', place: 'generated at run time', origin: 'package' }
  }
  const name = functionName === '' ? 'native function' : functionName
  return { name, module: '', place: 'native', origin: 'native' }
}

/** A function without a name is called by where it is, and a module's own code by what it does. */
function named(functionName: string, at: Omit<Frame, 'name'>, line: number | null): Frame {
  if (functionName !== '') return { name: functionName, ...at }
  if (line === 1) return { name: `load ${at.module}`, ...at, module: '' }
  const file = at.origin === 'package' ? at.place.replace(/\.[cm]?js:/, ':') : at.module
  const isPlaced = at.origin === 'package' || line === null
  return { name: isPlaced ? file : `${file}:${line}`, ...at, module: '' }
}

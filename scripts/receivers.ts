import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { pythonWith } from './python.ts'

/** A message as a receiver saw it. */
export interface Heard {
  readonly verdict: string
  readonly id: string
  /** SHA-256 of its body. */
  readonly digest: string
  readonly status: number
}

/** An endpoint that verifies with somebody's library, in a process of its own. */
export interface Receiver {
  readonly name: string
  readonly url: string
  /** In the order of their coming. */
  readonly heard: readonly Heard[]
  /** For each secret that it had, how many messages had come before. */
  readonly secrets: readonly number[]
  /** Begin to count anew. */
  forget(): void
  /** Verify with this secret from now on. */
  use(secret: string): Promise<void>
  end(): Promise<void>
}

const PYPI = 'standardwebhooks==1.1.0'
const fileOf = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** All receivers that this machine can run; `skipped` is told why another cannot be. */
export async function startReceivers(
  folder: string,
  skipped: (why: string) => void,
): Promise<Receiver[]> {
  const npm = [process.execPath, ...process.execArgv, fileOf('receivers/receiver.ts')]
  const receivers = [await start('npm', npm)]
  const python = pythonWith(folder, [PYPI])
  if ('missing' in python) skipped(`PyPI: ${python.missing}`)
  else
    receivers.push(await start('PyPI', [python.program('python'), fileOf('receivers/receiver.py')]))
  const go = goReceiver(folder)
  if ('missing' in go) skipped(`Go: ${go.missing}`)
  else receivers.push(await start('Go', [go.program]))
  return receivers
}

/** The receiver in Go, built into a folder; its version of Go is the one that is there. */
function goReceiver(folder: string): { readonly program: string } | { readonly missing: string } {
  const program = join(folder, 'receiver')
  const built = spawnSync('go', ['build', '-o', program, '.'], {
    cwd: fileOf('receivers/go'),
    env: { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly' },
    encoding: 'utf8',
  })
  if (built.status === 0) return { program }
  return { missing: built.error?.message ?? built.stderr.trim().split('\n').at(-1) ?? '' }
}

async function start(name: string, [program = '', ...args]: readonly string[]): Promise<Receiver> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  const heard: Heard[] = []
  const secrets: number[] = []
  const waiting: (() => void)[] = []
  const port = new Promise<number>((resolve, reject) => {
    const failed = () => reject(new Error(`the receiver of ${name} ended`))
    child.once('error', reject).once('close', failed)
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [verdict = '', id = '', digest = '', status = ''] = line.split(' ')
      if (verdict === 'port') resolve(Number(id))
      else if (verdict === 'secret') {
        secrets.push(heard.length)
        waiting.shift()?.()
      } else heard.push({ verdict, id, digest, status: Number(status) })
    })
  })
  return {
    name,
    url: `http://127.0.0.1:${await port}/hook`,
    heard,
    secrets,
    forget() {
      heard.length = 0
      secrets.length = 0
    },
    use(secret) {
      const known = new Promise<void>((resolve) => void waiting.push(resolve))
      child.stdin.write(`${secret}\n`)
      return known
    },
    async end() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

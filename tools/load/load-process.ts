import { generate } from './generate.ts'
import type { Plan } from './plan.ts'

/** What a load process says to the process that started it. */
export type LoadMessage =
  | { readonly kind: 'done'; readonly count: number }
  | { readonly kind: 'result'; readonly result: Awaited<ReturnType<typeof generate>> }
  | { readonly kind: 'failed'; readonly message: string }

/** Carries out the plans it is sent, one after the other, until its parent goes. */
process.on('message', (plan: Plan) => {
  const say = (message: LoadMessage) => process.send?.(message)
  generate(plan, (count) => say({ kind: 'done', count })).then(
    (result) => say({ kind: 'result', result }),
    (error: unknown) => say({ kind: 'failed', message: String(error) }),
  )
})
process.on('disconnect', () => process.exit(0))

/** The data of workflows by their keys. `bellcast types typescript` declares that of yours. */
export interface WorkflowData {}

/** The data of notification types by their keys. `bellcast types typescript` declares that of yours. */
export interface TypeData {}

type Optional<Data> = {} extends Data ? { data?: Data } : { data: Data };

/** What a draft of a type must contain beside the fields of all drafts. */
export type OfType<Type> = { type?: Type } & (Type extends keyof TypeData ? Optional<TypeData[Type]> : {});

/** The arguments after the recipient of a workflow: its data, and options. */
export type TriggerArguments<Key, Options> = Key extends keyof WorkflowData
  ? {} extends WorkflowData[Key] ? [data?: WorkflowData[Key], options?: Options] : [data: WorkflowData[Key], options?: Options]
  : [data?: Record<string, unknown>, options?: Options];

// What the workbench shows beside a world: input, requests, inspector and log of any game.

import { type FormEvent, type ReactNode, useState } from "react";
import { codeLabel, helpOf, nameOf } from "../../src/codes.ts";
import { boundsOf, stepOf } from "../../src/message.ts";
import type { NumberSchema, RequestSchema, Schema } from "../../src/schema.ts";
import { clockText } from "../parts/notice.tsx";
import { useStore } from "../store.ts";
import type { Hands } from "./hands.ts";
import { text } from "./place.ts";
import { type Plan, restOf } from "./plan.ts";
import type { Asked, BenchSession } from "./play-session.ts";
import type { World } from "./world.ts";

/** One part of the side; on phones it starts closed. */
export function Section({ title, note, grows, children }: { title: string; note?: string | undefined; grows?: boolean; children: ReactNode }) {
  const [open] = useState(() => !matchMedia("(max-width: 760px)").matches);
  return (
    <details className={grows ? "bench-part grows" : "bench-part"} open={open}>
      <summary><h3>{title}</h3>{note === undefined ? null : <span className="muted">{note}</span>}</summary>
      {children}
    </details>
  );
}

/** Who moves which number of the input. */
export function InputPart({ schema, hands }: { schema: Schema; hands: Hands }) {
  const plan = hands.plan;
  if (plan === undefined || schema.input === undefined) {
    return (
      <Section title="Input">
        <p className="muted">This game's schema has no input, so this page can only watch it. Register one with <code>app.input</code>.</p>
      </Section>
    );
  }
  return (
    <Section title="Input" note={schema.input.name}>
      <dl className="bench-keys">{keyRows(plan).map(({ keys, what }) => [
        <dt key={`${what} keys`}>{keys.map((key) => <kbd key={key} className="kbd">{key}</kbd>)}</dt>,
        <dd key={what}>{what}</dd>,
      ])}</dl>
      {plan.sliders.map((field) => <Slider key={field} hands={hands} plan={plan} field={field} />)}
    </Section>
  );
}

/** Keys with the names of what they move. */
export function keyRows(plan: Plan): { keys: string[]; what: string }[] {
  const name = (field: number) => plan.fields[field]!.name;
  const rows: { keys: string[]; what: string }[] = [];
  if (plan.stick !== undefined) rows.push({ keys: ["W A S D", "← ↑ ↓ →"], what: both(name(plan.stick.right), name(plan.stick.up)) });
  for (const { label, name } of plan.buttons) rows.push({ keys: [label ?? "no key"], what: name });
  if (plan.pointer !== undefined) rows.push({ keys: ["Pointer"], what: name(plan.pointer) });
  return rows;
}

/** `way` of `way.0` and `way.1`. */
function both(right: string, up: string): string {
  const base = right.replace(/\.\d+$/, "");
  return base !== right && up.startsWith(`${base}.`) ? base : `${right}, ${up}`;
}

function Slider({ hands, plan, field }: { hands: Hands; plan: Plan; field: number }) {
  const schema = plan.fields[field]!;
  const steps = useStore(hands.sliders).get(field) ?? restOf(schema);
  return (
    <label className="bench-slider">
      <span>{schema.name}</span>
      <input type="range" min={schema.min} max={schema.max} value={steps} onChange={(event) => hands.slide(field, Number(event.target.value))} onPointerUp={() => hands.focus()} />
      <span className="num">{text(schema, steps)}</span>
    </label>
  );
}

/** A form for each request. */
export function RequestsPart({ schema, session, hands }: { schema: Schema; session: BenchSession; hands: Hands }) {
  const asked = useStore(session.asked);
  if (schema.requests.length === 0) return null;
  return (
    <Section title="Requests">
      {schema.requests.map((request, i) => (
        <RequestForm key={request.name} request={request} asked={asked.get(i + 1)} onAsk={(values) => {
          session.request(i + 1, values);
          hands.focus();
        }} />
      ))}
    </Section>
  );
}

function RequestForm({ request, asked, onAsk }: { request: RequestSchema; asked: Asked | undefined; onAsk: (values: number[]) => void }) {
  const [values, setValues] = useState(() => request.fields.map(() => 0));
  const set = (i: number, value: number) => setValues((old) => old.map((known, j) => (i === j ? value : known)));
  const ask = (event: FormEvent) => {
    event.preventDefault();
    onAsk(values);
  };
  return (
    <form className="bench-request" onSubmit={ask} aria-label={request.name}>
      <div className="bench-fields">
        {request.fields.map((field, i) => <NumberField key={field.name} field={field} value={values[i]!} onChange={(value) => set(i, value)} />)}
        <button type="submit" className="button">{request.name}</button>
      </div>
      <p className="muted" role="status" data-answer={request.name}>{asked === undefined ? `answers ${request.answer.name}` : <AnswerLine name={request.answer.name} asked={asked} />}</p>
    </form>
  );
}

function NumberField({ field, value, onChange }: { field: NumberSchema; value: number; onChange: (value: number) => void }) {
  if (field.kind === "bool") {
    return <label className="bench-check"><input type="checkbox" checked={value === 1} onChange={(event) => onChange(Number(event.target.checked))} />{field.name}</label>;
  }
  const step = field.kind === "f32" ? stepOf(field.unit) : 1;
  const [min, max] = boundsOf(field.kind);
  return (
    <label className="field">
      <span>{field.name}</span>
      <input className="input num" type="number" inputMode={step === 1 ? "numeric" : "decimal"} min={min * step} max={max * step} step={step} value={Number.isNaN(value) ? "" : value} required onChange={(event) => onChange(event.target.valueAsNumber)} />
    </label>
  );
}

function AnswerLine({ name, asked }: { name: string; asked: Asked }) {
  if (asked.state === "waiting") return <>Waiting for the answer…</>;
  if (asked.state === "refused") return <span className="bad">{codeLabel(asked.code)} {nameOf(asked.code)}: {helpOf(asked.code)}</span>;
  return <><strong>{name}</strong> {asked.values.map((value) => <Value key={value.name} {...value} />)}</>;
}

/** The last events, the newest first. */
export function LogPart({ world }: { world: World }) {
  const lines = useStore(world.log);
  return (
    <Section title="Events" grows>
      {lines.length === 0 ? <p className="muted">Nothing was said yet.</p> : (
        <ol className="bench-log" aria-live="off">
          {lines.map(({ id, at, name, effect, values }) => (
            <li key={id}>
              <time className="num">{clockText(Math.max(0, Math.floor(at)))}</time>
              <span><strong>{name}</strong>{effect ? <small className="badge">effect</small> : null} {values.map((value) => <Value key={value.name} {...value} />)}</span>
            </li>
          ))}
        </ol>
      )}
    </Section>
  );
}

function Value({ name, value }: { name: string; value: string }) {
  return <span className="bench-value">{name} <span className="num">{value}</span></span>;
}

/** Every number of the chosen entity, or of the own one. */
export function InspectorPart({ world }: { world: World }) {
  const [inspected, entities] = [useStore(world.inspected), useStore(world.entities)];
  return (
    <Section title="Inspector" note="click a thing to see it">
      {inspected === undefined ? <p className="muted">There is no entity yet.</p> : (
        <>
          <select className="input" aria-label="Entity" value={inspected.id} onChange={(event) => {
            world.chosen.set(Number(event.target.value));
            // The next key is the game's.
            event.target.blur();
          }}>
            {entities.map(({ id, name }) => <option key={id} value={id}>{id} · {name}</option>)}
          </select>
          {inspected.components.map(({ name, fields }) => (
            <table key={name} className="bench-fields-table">
              <caption>{name}</caption>
              <tbody>{fields.map((field) => <tr key={field.name}><th scope="row">{field.name}</th><td className="num">{field.value}</td></tr>)}</tbody>
            </table>
          ))}
        </>
      )}
    </Section>
  );
}

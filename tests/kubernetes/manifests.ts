/**
 * Kubernetes manifests as the checks read them: what was rendered, and the pods in it.
 *
 * @module
 */
import { parseAllDocuments } from "yaml";

/** A resource. */
export type Manifest = {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  // deno-lint-ignore no-explicit-any
  [field: string]: any;
};

/** A variable of a container. */
export type EnvironmentVariable = { name: string; value?: string; valueFrom?: unknown };

/** A container, as far as it is looked at. */
export type Container = {
  name: string;
  image: string;
  args?: string[];
  command?: string[];
  env?: EnvironmentVariable[];
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
  // deno-lint-ignore no-explicit-any
  [field: string]: any;
};

/** What a workload runs. */
export type Pod = Readonly<{
  workload: string;
  kind: "Deployment" | "StatefulSet" | "Job";
  /** `count`, `gateway`, `migrate` … */
  component: string;
  labels: Record<string, string>;
  replicas: number;
  // deno-lint-ignore no-explicit-any
  spec: any;
  containers: readonly Container[];
}>;

/** Reads YAML of any number of resources. */
export function readManifests(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS();
  }).filter((each) => each !== null);
}

/** Resources of a kind. */
export function ofKind(manifests: readonly Manifest[], ...kinds: string[]): Manifest[] {
  return manifests.filter(({ kind }) => kinds.includes(kind));
}

/** Every pod that our own workloads run. Those of operators are not in the manifests. */
export function podsOf(manifests: readonly Manifest[]): Pod[] {
  return ofKind(manifests, "Deployment", "StatefulSet", "Job").map((manifest) => {
    const { metadata: { labels = {} }, spec } = manifest.spec.template;
    const scaler = ofKind(manifests, "HorizontalPodAutoscaler").find(({ spec: { scaleTargetRef } }) =>
      scaleTargetRef.kind === manifest.kind && scaleTargetRef.name === manifest.metadata.name
    );
    return {
      workload: manifest.metadata.name,
      kind: manifest.kind as Pod["kind"],
      component: labels["app.kubernetes.io/component"] ?? "",
      labels,
      replicas: scaler?.spec.minReplicas ?? manifest.spec.replicas ?? 1,
      spec,
      containers: [...spec.initContainers ?? [], ...spec.containers],
    };
  });
}

/** What a container runs, word by word. */
export function wordsOf({ command = [], args = [] }: Container): string[] {
  return [...command, ...args];
}

/** A container's variables by name. */
export function environmentOf({ env = [] }: Container): Record<string, string> {
  return Object.fromEntries(env.map(({ name, value }) => [name, value ?? ""]));
}

/** Whether labels fit a selector. What a selector leaves out fits. */
export function fits(
  // deno-lint-ignore no-explicit-any
  selector: any,
  labels: Readonly<Record<string, string>>,
): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(
      ({ key, operator, values }: { key: string; operator: string; values: string[] }) => {
        switch (operator) {
          case "In":
            return values.includes(labels[key]!);
          case "NotIn":
            return !values.includes(labels[key]!);
          case "Exists":
            return key in labels;
          case "DoesNotExist":
            return !(key in labels);
          default:
            throw new Error(
              `A selector's operator is ${operator}, and must be In, NotIn, Exists or DoesNotExist`,
            );
        }
      },
    );
}

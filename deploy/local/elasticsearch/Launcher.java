import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * Starts one Elasticsearch node from the published jars, without a distribution's scripts, bundled JDK and
 * X-Pack: for development and tests, never for an election. It stops at SIGTERM.
 *
 * <p>Usage: {@code java Launcher HOME DATA HTTP_PORT TRANSPORT_PORT [NAME ROLES SEEDS
 * MASTERS]}. With the last four, lists with commas, it is a node of a cluster. HOME holds {@code modules/} and {@code
 * plugins/}; DATA is the node's own. It listens on loopback alone, since nobody is asked who they are.
 */
public final class Launcher {
  /** How long open searches and writes may take once the node is to stop. */
  private static final int CLOSE_SECONDS = 20;

  private Launcher() {}

  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]).toAbsolutePath();
    Path data = Path.of(arguments[1]).toAbsolutePath();
    Path config = Files.createDirectories(data.resolve("config"));
    boolean isAlone = arguments.length == 4;
    String name = isAlone ? "node-1" : arguments[4];
    Settings.Builder builder = Settings.builder()
        .put("path.home", home.toString())
        .put("path.data", Files.createDirectories(data.resolve("data")).toString())
        .put("path.logs", Files.createDirectories(data.resolve("logs")).toString())
        .put("cluster.name", "pollwire-local")
        .put("node.name", name)
        .put("network.host", "127.0.0.1")
        .put("http.port", arguments[2])
        .put("transport.port", arguments[3])
        // A developer's disk is often nearly full; the node would make its indices read-only.
        .put("cluster.routing.allocation.disk.threshold_enabled", false);
    if (isAlone) {
      builder.put("discovery.type", "single-node");
    } else {
      builder.putList("node.roles", arguments[5].split(","));
      builder.putList("discovery.seed_hosts", arguments[6].split(","));
      // Read when the cluster is made, and never again.
      builder.putList("cluster.initial_master_nodes", arguments[7].split(","));
    }
    Settings settings = builder.build();
    LogConfigurator.configureESLogging();
    LogConfigurator.configureWithoutConfig(Settings.builder().put("logger.level", "WARN").build());
    Environment environment =
        InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), config, () -> name);
    Node node = new Node(environment, pluginsOf(environment));
    CountDownLatch closed = new CountDownLatch(1);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, closed), "close"));
    node.start();
    System.out.println("started on port " + arguments[2]);
    closed.await();
  }

  private static PluginsLoader pluginsOf(Environment environment) {
    return PluginsLoader.createPluginsLoader(
        PluginsLoader.loadModulesBundles(environment.modulesDir()),
        PluginsLoader.loadPluginsBundles(environment.pluginsDir()),
        Map.of(),
        false);
  }

  private static void close(Node node, CountDownLatch closed) {
    try {
      node.close();
      node.awaitClose(CLOSE_SECONDS, TimeUnit.SECONDS);
    } catch (Exception error) {
      error.printStackTrace();
    }
    closed.countDown();
  }
}

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
 * Starts one Elasticsearch node from the published jars, for the stand-in image: it listens on every address of its
 * container, without security, and takes settings from the environment as the vendor's image does. It stops at SIGTERM.
 *
 * <p>Usage: {@code java Standin HOME}.
 */
public final class Standin {
  /** How long open searches and writes may take once the node is to stop. */
  private static final int CLOSE_SECONDS = 20;

  private Standin() {}

  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]);
    Settings.Builder settings = Settings.builder()
        .put("path.home", home.toString())
        .put("path.data", home.resolve("data").toString())
        .put("path.logs", home.resolve("logs").toString())
        .put("cluster.name", "docker-cluster")
        .put("node.name", "node-1")
        .put("network.host", "0.0.0.0")
        // A developer's disk is often nearly full; the node would make its indices read-only.
        .put("cluster.routing.allocation.disk.threshold_enabled", false);
    for (Map.Entry<String, String> variable : System.getenv().entrySet()) {
      String name = variable.getKey();
      // The jars have no X-Pack.
      if (name.matches("[a-z_]+(\\.[a-z_]+)+") && !name.startsWith("xpack.")) settings.put(name, variable.getValue());
    }
    LogConfigurator.configureESLogging();
    LogConfigurator.configureWithoutConfig(Settings.builder().put("logger.level", "WARN").build());
    Environment environment = InternalSettingsPreparer.prepareEnvironment(
        settings.build(), Map.of(), home.resolve("config"), () -> "node-1");
    PluginsLoader plugins = PluginsLoader.createPluginsLoader(
        PluginsLoader.loadModulesBundles(environment.modulesDir()),
        PluginsLoader.loadPluginsBundles(environment.pluginsDir()),
        Map.of(),
        false);
    Node node = new Node(environment, plugins);
    CountDownLatch closed = new CountDownLatch(1);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, closed), "close"));
    node.start();
    System.out.println("started");
    closed.await();
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
